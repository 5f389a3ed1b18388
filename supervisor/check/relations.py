"""The relations that a statement needs, wherever in it they stand. Pure.

A relation is needed where PostgreSQL looks it up when the statement runs: in FROM, as the table of ALTER TABLE or
REFERENCES, in ``'x'::regclass``. The names of common table expressions are none, nor is the argument of
``to_regclass``.
"""

from __future__ import annotations

from typing import Any, Final

from supervisor.check.effects import NOT_LITERAL, Effect, Kind
from supervisor.check.grammar import Node
from supervisor.check.guards import Relations
from supervisor.check.names import Relation, constant, from_parts, from_range, from_text, strings
from supervisor.check.source import Fragment

_CHANGING: Final = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
# Their first argument is a regclass, so a literal there is looked up (PostgreSQL, TimescaleDB 2).
_TAKE_REGCLASS: Final = frozenset({
    "nextval", "currval", "setval", "pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size",
    "pg_get_serial_sequence", "pg_get_indexdef", "pg_get_viewdef", "pg_relation_filepath",
    "create_hypertable", "create_distributed_hypertable", "set_chunk_time_interval", "add_dimension",
    "set_integer_now_func", "add_retention_policy", "remove_retention_policy", "add_compression_policy",
    "remove_compression_policy", "add_columnstore_policy", "add_reorder_policy", "add_continuous_aggregate_policy",
    "hypertable_size", "show_chunks", "drop_chunks", "attach_tablespace",
})  # fmt: skip
_INNER: Final = frozenset({dict, list})
# FOR UPDATE OF has aliases; WITH is read before what it belongs to.
_NO_RELATIONS: Final = frozenset({"lockedRels", "withClause"})


class Collector:
    """Collects the effects of one statement.

    Args:
        fragment: what the locations in the nodes refer to.
        at: the place of what has none of its own, in bytes of the fragment.
        only_if: relations without which the statement does not run.
    """

    def __init__(self, fragment: Fragment, at: int, only_if: Relations = frozenset()) -> None:
        self.effects: list[Effect] = []
        self.fragment = fragment
        self.at = at
        self.only_if = only_if

    def add(self, kind: Kind, relation: Relation | None, at: int | None = None, **more: Any) -> None:  # noqa: ANN401
        """Note one effect; nothing when there is no relation."""
        if relation is not None:
            where = self.at if at is None else at
            self.effects.append(Effect(kind, relation, self.fragment, where, self.only_if, **more))

    def walk(self, node: object, hidden: frozenset[str] = frozenset()) -> None:
        """Collect what is needed anywhere below a node.

        Args:
            node: a node, or a list of nodes.
            hidden: names of common table expressions that are in sight.
        """
        if isinstance(node, list):
            for item in node:
                if item.__class__ is dict:
                    self.walk(item, hidden)
        elif isinstance(node, dict) and not self._is_name(node, hidden):
            if "withClause" in node:
                hidden = self._common_tables(node, hidden)
            for key, value in node.items():
                if key in _CHANGING:
                    # What is changed is never a common table expression.
                    self.need(value.get("relation"))
                    self.walk({name: below for name, below in value.items() if name != "relation"}, hidden)
                elif value.__class__ in _INNER and key not in _NO_RELATIONS:
                    self.walk(value, hidden)

    def _is_name(self, node: Node, hidden: frozenset[str]) -> bool:
        """Note what a node by itself refers to; returns whether nothing else can be below it."""
        if "relpersistence" in node and "relname" in node:
            if node["relname"] not in hidden or "schemaname" in node:
                self.need(node)
            return True
        if "typemod" in node and "names" in node:
            self._type(node)
            return True
        if "funcname" in node and "funcformat" in node:
            self._call(node)
        elif "typeName" in node and "arg" in node:
            self._cast(node)
        return False

    def need(self, node: Node | None) -> None:
        """Note that the relation of a RangeVar is looked up."""
        if node is not None:
            self.add(Kind.NEED, from_range(node), node.get("location", 0))

    def creates(self, node: Node) -> None:
        """Note that the relation of a RangeVar is made."""
        temporary = node.get("relpersistence") == "t" or node.get("schemaname") == "pg_temp"
        self.add(Kind.CREATE_TEMPORARY if temporary else Kind.CREATE, from_range(node), node.get("location", 0))

    def within(self, condition: Relations) -> Collector:
        """A collector of the same fragment for what runs only under a condition."""
        inner = Collector(self.fragment, self.at, self.only_if | condition)
        inner.effects = self.effects
        return inner

    def _common_tables(self, node: Node, hidden: frozenset[str]) -> frozenset[str]:
        clause = node["withClause"]
        clause = clause.get("WithClause", clause)
        tables = [item["CommonTableExpr"] for item in clause.get("ctes", [])]
        if clause.get("recursive"):
            hidden |= {table["ctename"] for table in tables}
        for table in tables:
            self.walk(table.get("ctequery"), hidden)
            hidden |= {table["ctename"]}
        return hidden

    def _type(self, node: Node) -> None:
        parts = strings(node["names"])
        if node.get("pct_type"):
            self.add(Kind.NEED, from_parts(parts[:-1]), node.get("location", 0))
        elif parts[:1] != ["pg_catalog"]:
            self.add(Kind.MENTION, from_parts(parts), node.get("location", 0))

    def _cast(self, node: Node) -> None:
        text = constant(node["arg"])
        if text is not None and strings(node["typeName"].get("names"))[-1:] == ["regclass"]:
            location = node["arg"].get("A_Const", {}).get("location", 0)
            self.add(Kind.NEED, from_text(text), location)

    def _call(self, node: Node) -> None:
        name = strings(node["funcname"])[-1]
        arguments = node.get("args") or [{}]
        text = constant(arguments[0])
        if name in _TAKE_REGCLASS and text is not None:
            self.add(Kind.NEED, from_text(text), arguments[0].get("A_Const", {}).get("location", self.at))
        elif name == "set_config" and text is not None and text.lower() == "search_path":
            value = constant(arguments[1]) if len(arguments) > 1 else None
            path = None if value is None else tuple(part.strip().strip('"') for part in value.split(","))
            self.add(Kind.SEARCH_PATH, NOT_LITERAL, path=path)
