"""What a condition says about which relations exist: the guards of DO blocks. Pure.

A guard is a condition that asks the catalogue: ``to_regclass('x')``, or ``EXISTS`` and ``count(*)`` over
``information_schema``, ``pg_class``, ``pg_tables`` and the like with the relation's name as a literal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from supervisor.check.names import Relation, constant, from_text, strings

Relations = frozenset[Relation]

# Stands for a part of a table (a constraint, a column) that may or may not be there.
UNKNOWN: Final = Relation("", "")
_NOTHING: Final[Relations] = frozenset()

_NAME_COLUMNS: Final = frozenset(
    {"table_name", "tablename", "relname", "viewname", "matviewname", "sequencename", "sequence_name", "indexname"}
)
_SCHEMA_COLUMNS: Final = frozenset({"table_schema", "schemaname", "sequence_schema"})
_OF_TABLES: Final = frozenset({
    "tables", "columns", "views", "sequences", "table_constraints", "key_column_usage", "constraint_column_usage",
    "constraint_table_usage", "referential_constraints", "check_constraints", "triggers",
    "pg_class", "pg_tables", "pg_views", "pg_matviews", "pg_sequences", "pg_indexes", "pg_index", "pg_attribute",
    "pg_attrdef", "pg_constraint", "pg_trigger", "pg_policy", "pg_policies", "pg_rules", "pg_rewrite",
    "pg_inherits", "pg_partitioned_table", "pg_stat_user_tables", "pg_stat_all_tables",
})  # fmt: skip
_LOOKUPS: Final = frozenset({"to_regclass"})


class Truth(NamedTuple):
    """What follows from a condition: relations that exist if it is true, and those that exist if it is false."""

    if_true: Relations = _NOTHING
    if_false: Relations = _NOTHING

    def negated(self) -> Truth:
        """What follows from the opposite."""
        return Truth(self.if_false, self.if_true)


def truth(node: object, variables: Mapping[str, Truth]) -> Truth:  # noqa: PLR0911 - one return for each form
    """What follows from a condition.

    Args:
        node: the expression.
        variables: what is known of the PL/pgSQL variables, by name.
    """
    if not isinstance(node, dict) or not node:
        return Truth()
    kind, content = next(iter(node.items()))
    match kind:
        case "BoolExpr":
            return _combined(content, variables)
        case "SubLink":
            return _of_query(content, variables)
        case "NullTest" | "BooleanTest":
            return _tested(content, variables)
        case "A_Expr":
            return _compared(content, variables)
        case "ColumnRef":
            return variables.get(".".join(strings(content.get("fields"))), Truth())
        case "FuncCall":
            return _looked_up(content)
        case "CoalesceExpr":
            return truth((content.get("args") or [None])[0], variables)
        case "TypeCast":
            return truth(content.get("arg"), variables)
    return Truth()


def _tested(content: Mapping[str, Any], variables: Mapping[str, Truth]) -> Truth:
    """IS NULL, IS TRUE and their kind."""
    known = truth(content.get("arg"), variables)
    match content.get("nulltesttype") or content.get("booltesttype"):
        case "IS_NOT_NULL" | "IS_TRUE" | "IS_NOT_FALSE":
            return known
        case "IS_NULL" | "IS_FALSE" | "IS_NOT_TRUE":
            return known.negated()
    return Truth()


def truth_of_rows(select: Mapping[str, Any], variables: Mapping[str, Truth]) -> Truth:
    """What follows from a query that has rows or a value that is neither null, zero nor false."""
    targets = select.get("targetList") or []
    if not select.get("fromClause"):
        value = targets[0].get("ResTarget", {}).get("val") if len(targets) == 1 else None
        return truth(value, variables)
    return Truth(_restricted_to(select))


def _combined(content: Mapping[str, Any], variables: Mapping[str, Truth]) -> Truth:
    parts = [truth(argument, variables) for argument in content.get("args", [])]
    if content.get("boolop") == "NOT_EXPR":
        return parts[0].negated() if parts else Truth()
    all_true = _NOTHING.union(*(part.if_true for part in parts))
    all_false = _NOTHING.union(*(part.if_false for part in parts))
    any_true = frozenset.intersection(*(part.if_true for part in parts)) if parts else _NOTHING
    any_false = frozenset.intersection(*(part.if_false for part in parts)) if parts else _NOTHING
    if content.get("boolop") == "AND_EXPR":
        return Truth(all_true, any_false)
    return Truth(any_true, all_false)


def _of_query(content: Mapping[str, Any], variables: Mapping[str, Truth]) -> Truth:
    select = content.get("subselect", {}).get("SelectStmt", {})
    if content.get("subLinkType") == "EXISTS_SUBLINK":
        return Truth(_restricted_to(select))
    if content.get("subLinkType") == "EXPR_SUBLINK":
        return truth_of_rows(select, variables)
    return Truth()


def _compared(content: Mapping[str, Any], variables: Mapping[str, Truth]) -> Truth:
    operator = strings(content.get("name"))[-1:]
    known = truth(content.get("lexpr"), variables)
    if content.get("kind") != "AEXPR_OP" or known == Truth():
        return Truth()
    right = content.get("rexpr", {}).get("A_Const", {})
    number = right["ival"].get("ival", 0) if "ival" in right else None
    is_true = right["boolval"].get("boolval", False) if "boolval" in right else None
    match operator, number, is_true:
        case ([">"], 0, _) | ([">="], 1, _) | (["<>"], 0, _) | (["="], _, True) | (["<>"], _, False):
            return known
        case (["="], 0, _) | (["<"], 1, _) | (["="], _, False) | (["<>"], _, True):
            return known.negated()
        case ([">" | ">=" | "="], int(), None) if number > 0:
            return Truth(known.if_true)
        case (["<" | "<="], int(), None) if number > 0:
            return Truth(if_false=known.if_true)
    return Truth()


def _looked_up(content: Mapping[str, Any]) -> Truth:
    arguments = content.get("args") or []
    if strings(content.get("funcname"))[-1:] and strings(content["funcname"])[-1] in _LOOKUPS and len(arguments) == 1:
        text = constant(arguments[0])
        relation = from_text(text) if text is not None else None
        return Truth(frozenset({relation or UNKNOWN}))
    return Truth()


def _restricted_to(select: Mapping[str, Any]) -> Relations:
    """The relations that must exist for a query on the catalogue to have rows."""
    tables = {name for item in select.get("fromClause") or [] for name in _tables_in(item)}
    if not tables & _OF_TABLES:
        return _NOTHING
    names: list[str] = []
    schemas: list[str] = []
    relations: set[Relation] = set()
    for condition in _conditions(select):
        column, value = condition
        text = constant(value)
        if column in _NAME_COLUMNS and text is not None:
            names.append(text)
        elif column in _SCHEMA_COLUMNS and text is not None:
            schemas.append(text)
        elif isinstance(value, dict) and "FuncCall" in value:
            relations |= _looked_up(value["FuncCall"]).if_true
    schema = schemas[0] if len(schemas) == 1 else None
    found = frozenset(Relation(schema, name) for name in names) | relations
    # A row of pg_constraint or of another table's parts: it cannot be there without its table.
    return found or frozenset({UNKNOWN})


def _tables_in(item: object) -> Iterator[str]:
    if isinstance(item, dict):
        if "RangeVar" in item:
            yield item["RangeVar"].get("relname", "")
        for side in ("larg", "rarg"):
            yield from _tables_in(item.get("JoinExpr", {}).get(side))


def _conditions(select: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Each "column = value" that all rows fulfil."""
    waiting: list[Any] = [select.get("whereClause"), *(select.get("fromClause") or [])]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if "JoinExpr" in node:
            join = node["JoinExpr"]
            waiting += [join.get("quals"), join.get("larg"), join.get("rarg")]
        elif node.get("BoolExpr", {}).get("boolop") == "AND_EXPR":
            waiting += node["BoolExpr"].get("args", [])
        elif "A_Expr" in node and strings(node["A_Expr"].get("name")) == ["="]:
            yield from _equality(node["A_Expr"])


def _equality(content: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    left, right = content.get("lexpr"), content.get("rexpr")
    if content.get("kind") == "AEXPR_IN" and isinstance(right, dict):
        items = right.get("List", {}).get("items", [])
        right = items[0] if len(items) == 1 else None
    elif content.get("kind") != "AEXPR_OP":
        return
    for column, value in ((left, right), (right, left)):
        if isinstance(column, dict) and "TypeCast" in column:
            column = column["TypeCast"].get("arg")  # noqa: PLW2901
        if isinstance(column, dict) and "ColumnRef" in column:
            yield (strings(column["ColumnRef"].get("fields")) or [""])[-1], value
