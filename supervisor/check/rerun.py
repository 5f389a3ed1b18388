"""Statements that fail, or do their work twice, when a file runs again on a database that has it already. Pure.

A file runs once by its record. Records get lost, though: a restored dump, a renamed file, a table made by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from supervisor.check import finding
from supervisor.check.finding import Severity
from supervisor.check.grammar import Node, Parsed
from supervisor.check.names import from_range, strings
from supervisor.check.source import Source
from supervisor.check.statements import Read
from supervisor.postgres.directives import Directives

_OF_TABLE: Final = "DROP … IF EXISTS before it, or a DO block that looks first"
_OBJECT_NAMES: Final = {
    "OBJECT_TABLE": "TABLE", "OBJECT_VIEW": "VIEW", "OBJECT_MATVIEW": "MATERIALIZED VIEW", "OBJECT_INDEX": "INDEX",
    "OBJECT_SEQUENCE": "SEQUENCE", "OBJECT_TYPE": "TYPE", "OBJECT_DOMAIN": "DOMAIN", "OBJECT_SCHEMA": "SCHEMA",
    "OBJECT_TRIGGER": "TRIGGER", "OBJECT_POLICY": "POLICY", "OBJECT_FUNCTION": "FUNCTION", "OBJECT_RULE": "RULE",
    "OBJECT_EXTENSION": "EXTENSION", "OBJECT_PROCEDURE": "PROCEDURE", "OBJECT_FOREIGN_TABLE": "FOREIGN TABLE",
}  # fmt: skip


def check_reruns(source: Source, read: Read, directives: Directives) -> None:
    """Report each statement that lacks a guard against its second run; an error in a file that is repeatable."""
    severity = Severity.ERROR if directives.repeatable else None
    seen = _Seen()
    for step in read.steps:
        if step.where.guarded:
            seen.note(step.statement)
            continue
        for what, remedy in _unguarded(step.statement, seen):
            source.report(
                finding.UNGUARDED,
                step.statement.offset,
                f"{what} fails when the file runs again" if not what.endswith("again") else what,
                remedy=remedy,
                severity=severity,
            )
        seen.note(step.statement)


class _Seen:
    """What the statements before have made sure of."""

    def __init__(self) -> None:
        self.dropped: set[str] = set()
        self.new_tables: set[str] = set()

    def note(self, statement: Parsed) -> None:
        node = statement.node
        if statement.kind == "DropStmt" and node.get("missing_ok"):
            for item in node.get("objects", []):
                self.dropped.add((_names(item) or [""])[-1])
        elif statement.kind == "AlterTableStmt":
            self.dropped |= _dropped_in(node)
        elif statement.kind in {"CreateStmt", "CreateTableAsStmt"} and not node.get("if_not_exists"):
            relation = node.get("relation") or node.get("into", {}).get("rel") or {}
            self.new_tables.add(relation.get("relname", ""))

    def is_new(self, node: Node) -> bool:
        """Whether its table is made by this file without a guard, which has been told there."""
        return "relname" in node and from_range(node).name in self.new_tables


Found = list[tuple[str, str | None]]


def _unguarded(statement: Parsed, seen: _Seen) -> Found:
    judge = _JUDGES.get(statement.kind)
    return judge(statement.node, seen) if judge is not None else []


def _table(node: Node, seen: _Seen) -> Found:
    relation = node["relation"]
    if node.get("if_not_exists") or relation.get("relpersistence") == "t" or relation["relname"] in seen.dropped:
        return []
    return [(f"CREATE TABLE {relation['relname']} without IF NOT EXISTS", None)]


def _table_as(node: Node, seen: _Seen) -> Found:
    relation = node["into"]["rel"]
    if node.get("if_not_exists") or relation.get("relpersistence") == "t" or relation["relname"] in seen.dropped:
        return []
    what = "MATERIALIZED VIEW" if node.get("objtype") == "OBJECT_MATVIEW" else "TABLE"
    return [(f"CREATE {what} {relation['relname']} without IF NOT EXISTS", None)]


def _index(node: Node, seen: _Seen) -> Found:
    table = node["relation"]
    name = node.get("idxname")
    if node.get("if_not_exists") or seen.is_new(table) or name in seen.dropped:
        return []
    if name is None:
        return [(f"CREATE INDEX without a name on {table['relname']} makes a second one when the file runs again",
                 "Give it a name, and IF NOT EXISTS.")]  # fmt: skip
    return [(f"CREATE INDEX {name} without IF NOT EXISTS", None)]


def _alter_table(node: Node, seen: _Seen) -> Found:
    table = node["relation"]
    dropped = seen.dropped | _dropped_in(node)
    found: Found = []
    if seen.is_new(table):
        return []
    for item in node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        kind, definition = command.get("subtype"), command.get("def", {})
        if kind == "AT_AddConstraint":
            name = definition.get("Constraint", {}).get("conname", "")
            if name not in dropped:
                found.append((
                    f"ADD CONSTRAINT {name}".rstrip() + f" on {table['relname']}",
                    "Guard it: DROP CONSTRAINT IF EXISTS before it, or a DO block that looks into pg_constraint first.",
                ))  # fmt: skip
        elif kind == "AT_AddColumn" and not command.get("missing_ok"):
            name = definition.get("ColumnDef", {}).get("colname", "")
            if name not in dropped:
                found.append((f"ADD COLUMN {name} without IF NOT EXISTS", None))
        elif kind in {"AT_DropColumn", "AT_DropConstraint"} and not command.get("missing_ok"):
            what = "COLUMN" if kind == "AT_DropColumn" else "CONSTRAINT"
            found.append((f"DROP {what} {command.get('name', '')} without IF EXISTS", "Guard it by IF EXISTS."))
    return found


def _dropped_in(node: Node) -> set[str]:
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    return {
        command.get("name", "")
        for command in commands
        if command.get("subtype") in {"AT_DropColumn", "AT_DropConstraint"} and command.get("missing_ok")
    }


def _names(item: Node) -> list[str]:
    if "ObjectWithArgs" in item:
        return strings(item["ObjectWithArgs"].get("objname"))
    if "TypeName" in item:
        return strings(item["TypeName"].get("names"))
    return strings(item)


def _replaceable(
    what: str, name_of: Callable[[Node], str], table_of: str | None = None
) -> Callable[[Node, _Seen], Found]:
    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        if node.get("replace") or name in seen.dropped or (table_of and seen.is_new(node[table_of])):
            return []
        return [(f"CREATE {what} {name} without OR REPLACE", "Write CREATE OR REPLACE, or DROP … IF EXISTS before it.")]

    return judge


def _once(what: str, name_of: Callable[[Node], str]) -> Callable[[Node, _Seen], Found]:
    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        return (
            []
            if node.get("if_not_exists") or name in seen.dropped
            else [(f"CREATE {what} {name} without IF NOT EXISTS", None)]
        )

    return judge


def _without_form(
    what: str, name_of: Callable[[Node], str], table_of: str | None = None
) -> Callable[[Node, _Seen], Found]:
    """For what has neither IF NOT EXISTS nor OR REPLACE."""

    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        if name in seen.dropped or (table_of and seen.is_new(node[table_of])):
            return []
        return [(f"CREATE {what} {name}", f"Guard it: {_OF_TABLE}.")]

    return judge


def _rename(node: Node, seen: _Seen) -> Found:
    if seen.is_new(node.get("relation", {})):
        return []
    old = node.get("subname") or node.get("relation", {}).get("relname", "")
    if node.get("missing_ok") and "subname" not in node:
        return []
    return [
        (f"RENAME {old} TO {node.get('newname', '')}".replace("  ", " "), "Guard it by a DO block that looks first.")
    ]


def _drop(node: Node, seen: _Seen) -> Found:
    what = _OBJECT_NAMES.get(node.get("removeType", ""))
    names = [(_names(item) or [""])[-1] for item in node.get("objects", [])]
    if node.get("missing_ok") or what is None or all(name in seen.new_tables for name in names):
        return []
    return [(f"DROP {what} {', '.join(names)} without IF EXISTS", "Guard it by IF EXISTS.")]


def _enum_value(node: Node, _seen: _Seen) -> Found:
    if "newVal" not in node or node.get("skipIfNewValExists") or "oldVal" in node:
        return []
    return [(f"ALTER TYPE … ADD VALUE '{node['newVal']}' without IF NOT EXISTS", None)]


def _last(key: str) -> Callable[[Node], str]:
    return lambda node: (strings(node.get(key)) or [""])[-1]


def _own(key: str) -> Callable[[Node], str]:
    return lambda node: str(node.get(key, ""))


def _ranged(key: str) -> Callable[[Node], str]:
    return lambda node: str(node[key]["relname"])


_JUDGES: Final[dict[str, Callable[[Node, _Seen], Found]]] = {
    "AlterEnumStmt": _enum_value,
    "AlterTableStmt": _alter_table,
    "CompositeTypeStmt": _without_form("TYPE", _ranged("typevar")),
    "CreateDomainStmt": _without_form("DOMAIN", _last("domainname")),
    "CreateEnumStmt": _without_form("TYPE", _last("typeName")),
    "CreateExtensionStmt": _once("EXTENSION", _own("extname")),
    "CreateForeignTableStmt": lambda node, seen: _table(node["base"], seen),
    "CreateFunctionStmt": _replaceable("FUNCTION", _last("funcname")),
    "CreatePolicyStmt": _without_form("POLICY", _own("policy_name"), "table"),
    "CreateRoleStmt": _without_form("ROLE", _own("role")),
    "CreateSchemaStmt": _once("SCHEMA", _own("schemaname")),
    "CreateSeqStmt": _once("SEQUENCE", _ranged("sequence")),
    "CreateStmt": _table,
    "CreateTableAsStmt": _table_as,
    "CreateTrigStmt": _replaceable("TRIGGER", _own("trigname"), "relation"),
    "DropStmt": _drop,
    "IndexStmt": _index,
    "RenameStmt": _rename,
    "RuleStmt": _replaceable("RULE", _own("rulename"), "relation"),
    "ViewStmt": _replaceable("VIEW", _ranged("view")),
}
