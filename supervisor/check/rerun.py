"""Statements that fail, or do their work twice, when a file runs again on a database that has it already. Pure.

A file runs once by its record. Records get lost, though: a restored dump, a renamed file, a table made by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from supervisor.check import finding
from supervisor.check.finding import Severity
from supervisor.check.grammar import Node, Parsed
from supervisor.check.names import Relation, from_parts, from_range, strings
from supervisor.check.source import Source
from supervisor.check.statements import Read
from supervisor.postgres.directives import Directives

_OF_TABLE: Final = "DROP … IF EXISTS before it, or a DO block that looks first"
_LOOK_FIRST: Final = "Guard it by a DO block that looks first."
_KIND_NAMES: Final = {
    "MATVIEW": "MATERIALIZED VIEW", "TSCONFIGURATION": "TEXT SEARCH CONFIGURATION", "STATISTIC_EXT": "STATISTICS",
    "TSDICTIONARY": "TEXT SEARCH DICTIONARY", "TSPARSER": "TEXT SEARCH PARSER", "TSTEMPLATE": "TEXT SEARCH TEMPLATE",
}  # fmt: skip
# Of TimescaleDB 2; without the argument they fail on what is there already.
_WANT_IF_NOT_EXISTS: Final = frozenset({
    "create_hypertable", "add_dimension", "add_retention_policy", "add_compression_policy", "add_columnstore_policy",
    "add_reorder_policy", "add_continuous_aggregate_policy",
})  # fmt: skip
# More arguments by position may hold it.
_FEW_POSITIONAL: Final = 3


def check_reruns(source: Source, read: Read, directives: Directives) -> None:
    """Report each statement that lacks a guard against its second run; an error in a file that is repeatable."""
    severity = Severity.ERROR if directives.repeatable else None
    seen = _Seen()
    for step in read.steps:
        if not step.where.guarded:
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
        self._dropped: set[str] = set()
        # What is in the schema of temporary objects ends with the file.
        self._dropped_schemas = {"pg_temp"}
        self._new: set[str] = set()

    def note(self, statement: Parsed) -> None:
        node = statement.node
        match statement.kind:
            case "DropStmt" if node.get("missing_ok"):
                names = {_name(item).name for item in node.get("objects", [])}
                if node.get("removeType") == "OBJECT_SCHEMA":
                    self._dropped_schemas |= names
                self._dropped |= names
            case "DropRoleStmt" if node.get("missing_ok"):
                self._dropped |= {item.get("RoleSpec", {}).get("rolename", "") for item in node.get("roles", [])}
            case "AlterTableStmt":
                self._dropped |= dropped_in(node)
            case "CreateStmt" | "CreateTableAsStmt" | "SelectStmt" | "CompositeTypeStmt":
                table = node.get("relation") or node.get("typevar") or _into(node)
                if table and (not node.get("if_not_exists") or _is_temporary(table)):
                    self._new.add(table["relname"])

    def is_dropped(self, relation: Relation) -> bool:
        """Whether the file has made sure that it is not there."""
        return relation.name in self._dropped or relation.schema in self._dropped_schemas

    def is_new(self, node: Node) -> bool:
        """Whether its table is made by this file without a guard, which has been told there."""
        return "relname" in node and node["relname"] in self._new

    def all_new(self, names: list[str]) -> bool:
        """Whether all of them are made by this file without a guard."""
        return all(name in self._new for name in names)


Found = list[tuple[str, str | None]]


def _unguarded(statement: Parsed, seen: _Seen) -> Found:
    judge = _JUDGES.get(statement.kind)
    return judge(statement.node, seen) if judge is not None else []


def _into(node: Node) -> Node:
    """The table of CREATE TABLE AS and of SELECT INTO; empty without one."""
    table: Node = (node.get("into") or node.get("intoClause") or {}).get("rel", {})
    return table


def _is_temporary(table: Node) -> bool:
    return table.get("relpersistence") == "t" or table.get("schemaname") == "pg_temp"


def _is_safe(table: Node, seen: _Seen) -> bool:
    return _is_temporary(table) or seen.is_dropped(from_range(table))


def _table(node: Node, seen: _Seen) -> Found:
    table = node.get("relation") or _into(node)
    if node.get("if_not_exists") or _is_safe(table, seen):
        return []
    what = "MATERIALIZED VIEW" if node.get("objtype") == "OBJECT_MATVIEW" else "TABLE"
    return [(f"CREATE {what} {table['relname']} without IF NOT EXISTS", None)]


def _select(node: Node, seen: _Seen) -> Found:
    table = _into(node)
    if table:
        return (
            []
            if _is_safe(table, seen)
            else [(f"SELECT INTO {table['relname']}", "Write CREATE TABLE IF NOT EXISTS … AS.")]
        )
    calls = [item.get("ResTarget", {}).get("val", {}).get("FuncCall") for item in node.get("targetList", [])]
    return [found for call in calls if call for found in _call(call)]


def _call(call: Node) -> Found:
    name = (strings(call.get("funcname")) or [""])[-1]
    arguments = call.get("args", [])
    named = {item.get("NamedArgExpr", {}).get("name") for item in arguments} - {None}
    by_position = [item for item in arguments if "NamedArgExpr" not in item]
    if name not in _WANT_IF_NOT_EXISTS or "if_not_exists" in named or len(by_position) > _FEW_POSITIONAL:
        return []
    return [(f"{name} without if_not_exists", "Add the argument if_not_exists => true.")]


def _index(node: Node, seen: _Seen) -> Found:
    table = node["relation"]
    name = node.get("idxname")
    index = Relation(table.get("schemaname"), name or "")
    if node.get("if_not_exists") or seen.is_new(table) or seen.is_dropped(index):
        return []
    if name is None:
        if node.get("concurrent"):
            return []
        return [(f"CREATE INDEX without a name on {table['relname']} makes a second one when the file runs again",
                 "Give it a name, and IF NOT EXISTS.")]  # fmt: skip
    return [(f"CREATE INDEX {name} without IF NOT EXISTS", None)]


def _alter_table(node: Node, seen: _Seen) -> Found:
    table = node["relation"]
    if seen.is_new(table):
        return []
    # A DROP counts for what follows it in the same statement.
    dropped = dropped_in(node)
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    return [
        found
        for command in commands
        if (judge := _COMMANDS.get(command.get("subtype", ""))) is not None
        for found in judge(command, node, lambda name: name in dropped or seen.is_dropped(Relation(None, name)))
    ]


IsDropped = Callable[[str], bool]


def _add_constraint(command: Node, node: Node, is_dropped: IsDropped) -> Found:
    name = command.get("def", {}).get("Constraint", {}).get("conname", "")
    what = f"ADD CONSTRAINT {name}".rstrip() + f" on {node['relation']['relname']}"
    remedy = "Guard it: DROP CONSTRAINT IF EXISTS before it, or a DO block that looks into pg_constraint first."
    return [] if is_dropped(name) else [(what, remedy)]


def _add_column(command: Node, node: Node, is_dropped: IsDropped) -> Found:
    name = command.get("def", {}).get("ColumnDef", {}).get("colname", "")
    if command.get("missing_ok") or is_dropped(name):
        return []
    if node.get("objtype") == "OBJECT_TYPE":
        return [(f"ADD ATTRIBUTE {name}", _LOOK_FIRST)]
    return [(f"ADD COLUMN {name} without IF NOT EXISTS", None)]


def _drop_part(what: str) -> Callable[[Node, Node, IsDropped], Found]:
    def judge(command: Node, _node: Node, _is_dropped: IsDropped) -> Found:
        name = command.get("name", "")
        return (
            [] if command.get("missing_ok") else [(f"DROP {what} {name} without IF EXISTS", "Guard it by IF EXISTS.")]
        )

    return judge


def _only_once(what: str) -> Callable[[Node, Node, IsDropped], Found]:
    def judge(command: Node, node: Node, _is_dropped: IsDropped) -> Found:
        definition = command.get("def", {}).get("PartitionCmd", {}).get("name", {})
        name = definition.get("relname") or command.get("name", "")
        # An index takes a partition's index again without complaint.
        return [] if node.get("objtype") == "OBJECT_INDEX" else [(f"{what} {name}", _LOOK_FIRST)]

    return judge


_COMMANDS: Final[dict[str, Callable[[Node, Node, IsDropped], Found]]] = {
    "AT_AddColumn": _add_column,
    "AT_AddConstraint": _add_constraint,
    "AT_AddIdentity": _only_once("ADD GENERATED AS IDENTITY on"),
    "AT_AttachPartition": _only_once("ATTACH PARTITION"),
    "AT_DetachPartition": _only_once("DETACH PARTITION"),
    "AT_DropColumn": _drop_part("COLUMN"),
    "AT_DropConstraint": _drop_part("CONSTRAINT"),
}


def dropped_in(node: Node) -> set[str]:
    """The columns and constraints that an ALTER TABLE drops, if they are there."""
    commands = [item.get("AlterTableCmd", {}) for item in node.get("cmds", [])]
    return {
        command.get("name", "")
        for command in commands
        if command.get("subtype") in {"AT_DropColumn", "AT_DropConstraint"} and command.get("missing_ok")
    }


def _name(item: Node) -> Relation:
    """What an item of a DROP names; the names of columns and the like have that of their table as the schema."""
    if "ObjectWithArgs" in item:
        parts = strings(item["ObjectWithArgs"].get("objname"))
    elif "TypeName" in item:
        parts = strings(item["TypeName"].get("names"))
    else:
        parts = strings(item)
    return from_parts(parts) or Relation(None, "")


NameOf = Callable[[Node], Relation]


def _replaceable(what: str, name_of: NameOf, table_of: str | None = None) -> Callable[[Node, _Seen], Found]:
    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        if node.get("replace") or seen.is_dropped(name) or _is_temporary(node.get("view", {})):
            return []
        if table_of and seen.is_new(node[table_of]):
            return []
        kind = "PROCEDURE" if node.get("is_procedure") else what
        if node.get("isconstraint"):
            return [(f"CREATE CONSTRAINT {kind} {name.name}", f"Guard it: {_OF_TABLE}.")]
        remedy = "Write CREATE OR REPLACE, or DROP … IF EXISTS before it."
        return [(f"CREATE {kind} {name.name} without OR REPLACE", remedy)]

    return judge


def _once(what: str, name_of: NameOf) -> Callable[[Node, _Seen], Found]:
    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        if node.get("if_not_exists") or seen.is_dropped(name) or _is_temporary(node.get("sequence", {})):
            return []
        return [(f"CREATE {what} {name.name} without IF NOT EXISTS", None)]

    return judge


def _without_form(what: str, name_of: NameOf, table_of: str | None = None) -> Callable[[Node, _Seen], Found]:
    """For what has neither IF NOT EXISTS nor OR REPLACE."""

    def judge(node: Node, seen: _Seen) -> Found:
        name = name_of(node)
        if seen.is_dropped(name) or (table_of and seen.is_new(node[table_of])):
            return []
        return [(f"CREATE {what} {name.name}", f"Guard it: {_OF_TABLE}.")]

    return judge


def _define(node: Node, seen: _Seen) -> Found:
    """CREATE AGGREGATE, OPERATOR, COLLATION, TYPE, TEXT SEARCH and their like."""
    name = _last("defnames")(node)
    if node.get("replace") or node.get("if_not_exists") or seen.is_dropped(name):
        return []
    return [(f"CREATE {_kind(node, 'kind')} {name.name}", f"Guard it: {_OF_TABLE}.")]


def _rename(node: Node, seen: _Seen) -> Found:
    if seen.is_new(node.get("relation", {})):
        return []
    old = node.get("subname") or node.get("relation", {}).get("relname", "")
    if node.get("missing_ok") and "subname" not in node:
        return []
    return [(f"RENAME {old} TO {node.get('newname', '')}".replace("  ", " "), _LOOK_FIRST)]


def _set_schema(node: Node, seen: _Seen) -> Found:
    table = node.get("relation", {})
    if node.get("missing_ok") or seen.is_new(table):
        return []
    name = table.get("relname") or _name(node.get("object", {})).name
    return [(f"SET SCHEMA {node.get('newschema', '')} of {name}", _LOOK_FIRST)]


def _drop(node: Node, seen: _Seen) -> Found:
    names = [_name(item).name for item in node.get("objects", [])]
    if node.get("missing_ok") or seen.all_new(names):
        return []
    return [(f"DROP {_kind(node, 'removeType')} {', '.join(names)} without IF EXISTS", "Guard it by IF EXISTS.")]


def _drop_role(node: Node, _seen: _Seen) -> Found:
    names = [item.get("RoleSpec", {}).get("rolename", "") for item in node.get("roles", [])]
    return (
        []
        if node.get("missing_ok")
        else [(f"DROP ROLE {', '.join(names)} without IF EXISTS", "Guard it by IF EXISTS.")]
    )


def _enum_value(node: Node, _seen: _Seen) -> Found:
    if "oldVal" in node:
        return [(f"ALTER TYPE … RENAME VALUE '{node['oldVal']}'", _LOOK_FIRST)]
    if node.get("skipIfNewValExists"):
        return []
    return [(f"ALTER TYPE … ADD VALUE '{node.get('newVal', '')}' without IF NOT EXISTS", None)]


def _kind(node: Node, key: str) -> str:
    kind = str(node.get(key, "")).removeprefix("OBJECT_")
    return _KIND_NAMES.get(kind, kind.replace("_", " "))


def _last(key: str) -> NameOf:
    return lambda node: from_parts(strings(node.get(key))) or Relation(None, "")


def _own(key: str) -> NameOf:
    return lambda node: Relation(None, str(node.get(key, "")))


def _ranged(key: str) -> NameOf:
    return lambda node: from_range(node[key])


_JUDGES: Final[dict[str, Callable[[Node, _Seen], Found]]] = {
    "AlterEnumStmt": _enum_value,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterTableStmt": _alter_table,
    "CallStmt": lambda node, _seen: _call(node.get("funccall", {})),
    "CompositeTypeStmt": _without_form("TYPE", _ranged("typevar")),
    "CreateDomainStmt": _without_form("DOMAIN", _last("domainname")),
    "CreateEnumStmt": _without_form("TYPE", _last("typeName")),
    "CreateEventTrigStmt": _without_form("EVENT TRIGGER", _own("trigname")),
    "CreateExtensionStmt": _once("EXTENSION", _own("extname")),
    "CreateFdwStmt": _without_form("FOREIGN DATA WRAPPER", _own("fdwname")),
    "CreateForeignServerStmt": _once("SERVER", _own("servername")),
    "CreateForeignTableStmt": lambda node, seen: _table(node["base"], seen),
    "CreateFunctionStmt": _replaceable("FUNCTION", _last("funcname")),
    "CreatePolicyStmt": _without_form("POLICY", _own("policy_name"), "table"),
    "CreatePublicationStmt": _without_form("PUBLICATION", _own("pubname")),
    "CreateRangeStmt": _without_form("TYPE", _last("typeName")),
    "CreateRoleStmt": _without_form("ROLE", _own("role")),
    "CreateSchemaStmt": _once("SCHEMA", _own("schemaname")),
    "CreateSeqStmt": _once("SEQUENCE", _ranged("sequence")),
    "CreateStatsStmt": _once("STATISTICS", _last("defnames")),
    "CreateStmt": _table,
    "CreateTableAsStmt": _table,
    "CreateTrigStmt": _replaceable("TRIGGER", _own("trigname"), "relation"),
    "CreateUserMappingStmt": _once("USER MAPPING for", _own("servername")),
    "DefineStmt": _define,
    "DropRoleStmt": _drop_role,
    "DropStmt": _drop,
    "IndexStmt": _index,
    "RenameStmt": _rename,
    "RuleStmt": _replaceable("RULE", _own("rulename"), "relation"),
    "SelectStmt": _select,
    "ViewStmt": _replaceable("VIEW", _ranged("view")),
}
