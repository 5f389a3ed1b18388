"""From a statement to its effects: what it needs, creates, renames and drops, by kind of statement. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from supervisor.check.effects import NOT_LITERAL, Effect, Kind
from supervisor.check.grammar import Node, Parsed
from supervisor.check.guards import Relations
from supervisor.check.names import Relation, constant, from_parts, from_range, strings
from supervisor.check.relations import Collector

_RELATION_TYPES: Final = frozenset(
    {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_SEQUENCE"}
)
_PARTS_OF_TABLES: Final = frozenset(
    {"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
)
_INDEXING: Final = frozenset({"CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION"})
# The row of a trigger or rule, which looks like a table where it stands in FROM.
_ROWS: Final = frozenset({"old", "new"})


def effects_of(statement: Parsed, only_if: Relations = frozenset()) -> list[Effect]:
    """The effects of one statement; of a body, those of its signature alone.

    Args:
        statement: what is run.
        only_if: relations without which it does not run.
    """
    to = Collector(statement.fragment, statement.first_byte, only_if)
    handler = _HANDLERS.get(statement.kind)
    if handler is not None:
        handler(to, statement.node)
    else:
        to.walk({statement.kind: statement.node})
    return to.effects


def _create_table(to: Collector, node: Node) -> None:
    # First, since a foreign key may refer to the table itself.
    to.creates(node["relation"])
    _indexes_of(to, node.get("tableElts"), node["relation"])
    to.walk({key: value for key, value in node.items() if key != "relation"})


def _create_foreign_table(to: Collector, node: Node) -> None:
    _create_table(to, node["base"])


def _create_as(to: Collector, node: Node) -> None:
    to.walk(node.get("query"))
    to.creates(node["into"]["rel"])


def _select(to: Collector, node: Node) -> None:
    to.walk({"SelectStmt": {key: value for key, value in node.items() if key != "intoClause"}})
    if "intoClause" in node:
        to.creates(node["intoClause"]["rel"])


def _view(to: Collector, node: Node) -> None:
    to.walk(node.get("query"))
    to.creates(node["view"])


def _sequence(to: Collector, node: Node) -> None:
    to.walk(node.get("options"))
    for option in node.get("options", []):
        definition = option.get("DefElem", {})
        parts = strings(definition.get("arg")) if definition.get("defname") == "owned_by" else []
        if len(parts) > 1:
            to.add(Kind.NEED, from_parts(parts[:-1]), definition.get("location", 0))


def _create_sequence(to: Collector, node: Node) -> None:
    to.creates(node["sequence"])
    _sequence(to, node)


def _alter_sequence(to: Collector, node: Node) -> None:
    if node.get("missing_ok"):
        to = to.within(frozenset({from_range(node["sequence"])}))
    to.need(node["sequence"])
    _sequence(to, node)


def _create_type(to: Collector, node: Node) -> None:
    to.creates(node["typevar"])
    to.walk(node.get("coldeflist"))


def _index(to: Collector, node: Node) -> None:
    to.walk(node)
    if "idxname" in node:
        schema = node["relation"].get("schemaname")
        to.add(Kind.CREATE, Relation(schema, node["idxname"]), node["relation"].get("location", 0))


def _indexes_of(to: Collector, elements: object, table: Node) -> None:
    """A named key is an index of that name."""
    for element in elements if isinstance(elements, list) else []:
        constraints = [element, *element.get("ColumnDef", {}).get("constraints", [])]
        for item in constraints:
            constraint = item.get("Constraint", {})
            if constraint.get("contype") in _INDEXING and "conname" in constraint:
                to.add(Kind.CREATE, Relation(table.get("schemaname"), constraint["conname"]))


def _alter_table(to: Collector, node: Node) -> None:
    table = node["relation"]
    if node.get("missing_ok"):
        to = to.within(frozenset({from_range(table)}))
    if node.get("objtype") == "OBJECT_INDEX":
        to.add(Kind.MENTION, from_range(table), table.get("location", 0))
    else:
        to.need(table)
    commands = [item["AlterTableCmd"] for item in node.get("cmds", []) if "AlterTableCmd" in item]
    to.walk(node.get("cmds"))
    _indexes_of(to, [command["def"] for command in commands if "def" in command], table)


def _drop(to: Collector, node: Node) -> None:
    kind = node.get("removeType", "")
    for item in node.get("objects", []):
        parts = strings(item)
        if kind in _RELATION_TYPES or kind == "OBJECT_INDEX":
            relation = from_parts(parts)
            if not node.get("missing_ok"):
                to.add(Kind.MENTION if kind == "OBJECT_INDEX" else Kind.NEED, relation)
            to.add(Kind.DROP, relation)
        elif kind in _PARTS_OF_TABLES and not node.get("missing_ok"):
            to.add(Kind.NEED, from_parts(parts[:-1]))
        elif kind == "OBJECT_SCHEMA" and parts:
            to.add(Kind.DROP_SCHEMA, Relation(None, parts[0]))


def _rename(to: Collector, node: Node) -> None:
    if "relation" not in node:
        return
    old = from_range(node["relation"])
    kind = node.get("renameType")
    if node.get("missing_ok"):
        to = to.within(frozenset({old}))
    if kind == "OBJECT_INDEX":
        to.add(Kind.MENTION, old, node["relation"].get("location", 0))
    else:
        to.need(node["relation"])
    if kind in _RELATION_TYPES or kind == "OBJECT_INDEX":
        to.add(Kind.DROP, old)
        to.add(Kind.CREATE, Relation(old.schema, node["newname"]), node["relation"].get("location", 0))


def _move(to: Collector, node: Node) -> None:
    if "relation" not in node:
        return
    old = from_range(node["relation"])
    if node.get("missing_ok"):
        to = to.within(frozenset({old}))
    to.need(node["relation"])
    to.add(Kind.DROP, old)
    to.add(Kind.CREATE, Relation(node["newschema"], old.name), node["relation"].get("location", 0))


def _create_schema(to: Collector, node: Node) -> None:
    name = node.get("schemaname") or node.get("authrole", {}).get("rolename")
    if name is None:
        return
    to.add(Kind.CREATE_SCHEMA, Relation(None, name))
    elements = [each for element in node.get("schemaElts", []) for each in element.items()]
    for effect in [
        effect
        for kind, content in elements
        for effect in effects_of(Parsed(kind, content, to.fragment, to.at), to.only_if)
    ]:
        relation = effect.relation
        if effect.kind is Kind.CREATE and relation.schema is None:
            relation = Relation(name, relation.name)
        elif effect.kind is Kind.NEED and relation.schema is None:
            # They are sorted by PostgreSQL, and may lie in either schema.
            continue
        to.add(effect.kind, relation, effect.byte)


def _comment(to: Collector, node: Node) -> None:
    parts = strings(node.get("object"))
    kind = node.get("objtype", "")
    if kind in _RELATION_TYPES:
        to.add(Kind.NEED, from_parts(parts))
    elif kind in _PARTS_OF_TABLES:
        to.add(Kind.NEED, from_parts(parts[:-1]))
    elif kind == "OBJECT_INDEX":
        to.add(Kind.MENTION, from_parts(parts))


def _extension(to: Collector, node: Node) -> None:
    to.add(Kind.CREATE_EXTENSION, Relation(None, node["extname"]))
    for option in node.get("options", []):
        definition = option.get("DefElem", {})
        if definition.get("defname") == "schema":
            to.add(Kind.FILL_SCHEMA, Relation(None, strings([definition.get("arg", {})])[0]))


def _import(to: Collector, node: Node) -> None:
    to.add(Kind.FILL_SCHEMA, Relation(None, node["local_schema"]))
    to.add(Kind.OPAQUE, NOT_LITERAL)


def _set(to: Collector, node: Node) -> None:
    if node.get("name") != "search_path":
        return
    values = [constant(argument) for argument in node.get("args", [])]
    if node.get("kind") == "VAR_SET_VALUE" and None not in values:
        to.add(Kind.SEARCH_PATH, NOT_LITERAL, path=tuple(value for value in values if value is not None))
    else:
        to.add(Kind.SEARCH_PATH, NOT_LITERAL, path=None if node.get("kind") == "VAR_SET_CURRENT" else ())


def _rule(to: Collector, node: Node) -> None:
    to.need(node["relation"])
    to.walk(node.get("whereClause"), _ROWS)
    to.walk(node.get("actions"), _ROWS)


_HANDLERS: Final[dict[str, Callable[[Collector, Any], None]]] = {
    "AlterObjectSchemaStmt": _move,
    "AlterSeqStmt": _alter_sequence,
    "AlterTableStmt": _alter_table,
    "CommentStmt": _comment,
    "CompositeTypeStmt": _create_type,
    "CreateExtensionStmt": _extension,
    "CreateForeignTableStmt": _create_foreign_table,
    "CreateSchemaStmt": _create_schema,
    "CreateSeqStmt": _create_sequence,
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_as,
    "DropStmt": _drop,
    "ImportForeignSchemaStmt": _import,
    "IndexStmt": _index,
    "RenameStmt": _rename,
    "RuleStmt": _rule,
    "SelectStmt": _select,
    "VariableSetStmt": _set,
    "ViewStmt": _view,
}
