"""The effects of any statement, those with a body included. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from supervisor.check import finding
from supervisor.check.commands import effects_of
from supervisor.check.effects import NOT_LITERAL, Effect, Kind
from supervisor.check.grammar import Node, Parsed, RefusedError, parse
from supervisor.check.names import Relation, constant, strings
from supervisor.check.plpgsql import Body, Step, UnreadableBodyError, Where, read_body
from supervisor.check.source import Fragment, Source

_QUOTE: Final = re.compile(r"\$\w*\$|[eE]?'")
# What PostgreSQL analyses when a function in SQL is created; it takes other statements as they are.
_ANALYSED: Final = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_IN_PRACTICE_PLPGSQL: Final = frozenset({"", "plpgsql"})


@dataclass
class Read:
    """What was read of one file.

    Attributes:
        effects: of all its statements, in order.
        steps: its statements with the conditions that they stand under, those in DO blocks included.
        ends_transaction: places of COMMIT and ROLLBACK in DO blocks.
        bodies_checked: whether functions are checked when they are created (`check_function_bodies`).
    """

    effects: list[Effect] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    ends_transaction: list[tuple[str, int]] = field(default_factory=list)
    bodies_checked: bool = True


def read_statements(source: Source, statements: list[Parsed]) -> Read:
    """The effects of the statements of a file; what is wrong in their bodies is reported."""
    read = Read()
    for statement in statements:
        _take(source, Step(statement, Where()), read)
    return read


def _take(source: Source, step: Step, read: Read) -> None:
    statement, where = step.statement, step.where
    if statement.kind == "DoStmt":
        _do(source, step, read)
        return
    read.steps.append(step)
    if statement.kind == "CreateFunctionStmt":
        effects = _function(source, statement, read)
    else:
        effects = effects_of(statement, where.only_if) + _calls(statement, where)
    if statement.kind == "VariableSetStmt" and statement.node.get("name") == "check_function_bodies":
        values = [constant(value) for value in statement.node.get("args", [])]
        read.bodies_checked = values not in (["off"], ["false"], ["no"])
    read.effects += effects if not (where.tolerated or where.dormant) else _softened(effects)


def _softened(effects: list[Effect]) -> list[Effect]:
    """Effects of what may fail or not run at all: nothing is needed, and what is created may be there."""
    return [
        Effect(
            Kind.MAY_CREATE if effect.kind is Kind.CREATE else effect.kind,
            effect.relation,
            effect.fragment,
            effect.byte,
        )
        for effect in effects
        if effect.kind in {Kind.CREATE, Kind.CREATE_TEMPORARY, Kind.CREATE_EXTENSION, Kind.FILL_SCHEMA, Kind.OPAQUE}
    ]


def _do(source: Source, step: Step, read: Read) -> None:
    statement, where = step.statement, step.where
    options = _options(statement.node.get("args", []))
    if _language(options) not in _IN_PRACTICE_PLPGSQL:
        read.effects.append(Effect(Kind.OPAQUE, NOT_LITERAL, statement.fragment, statement.first_byte, where.only_if))
        return
    fragment = _body(statement, options)
    body = _plpgsql(source, statement, fragment)
    if body is None:
        read.effects.append(Effect(Kind.OPAQUE, NOT_LITERAL, statement.fragment, statement.first_byte, where.only_if))
        return
    read.ends_transaction += body.ends_transaction
    # Variables are made before anything of the body runs.
    for relation, at in body.row_types:
        read.effects.append(Effect(Kind.NEED, relation, Fragment("", at, exact=False), 0, where.only_if))
    for inner in body.steps:
        combined = Where(
            where.only_if | inner.where.only_if,
            where.guarded or inner.where.guarded,
            where.tolerated or inner.where.tolerated,
            where.dormant or inner.where.dormant,
        )
        _take(source, Step(inner.statement, combined, in_block=True), read)
    for relation, at in body.asserted:
        read.effects.append(Effect(Kind.MENTION, relation, Fragment("", at, exact=False), 0, where.only_if))
    read.effects += [Effect(Kind.OPAQUE, NOT_LITERAL, Fragment("", at, exact=False), 0) for at in body.opaque]


def _plpgsql(source: Source, statement: Parsed, fragment: Fragment) -> Body | None:
    try:
        body = read_body(statement.text, fragment)
    except RefusedError as problem:
        at = statement.offset if problem.offset is None else problem.offset
        source.report(finding.SYNTAX, at, problem.message)
        return None
    except UnreadableBodyError as error:
        source.report(finding.UNREAD_BODY, statement.offset, f"the body cannot be read here: {error}")
        return None
    for at, message in body.problems:
        source.report(finding.SYNTAX, at, message)
    return body


def _function(source: Source, statement: Parsed, read: Read) -> list[Effect]:
    options = _options(statement.node.get("options", []))
    effects = effects_of(Parsed(statement.kind, {**statement.node, "options": []}, statement.fragment, statement.byte))
    texts = strings(options.get("as", {}).get("arg"))
    if len(texts) != 1:
        return effects
    fragment = _body(statement, options)
    language = _language(options)
    if language == "plpgsql":
        body = _plpgsql(source, statement, fragment)
        for relation, at in body.row_types if body and read.bodies_checked else ():
            effects.append(Effect(Kind.NEED, relation, Fragment("", at, exact=False), 0))
        late = [inner.statement for inner in body.steps] if body else []
        effects += _definition(statement, body, options) if body else []
        effects += (
            [Effect(Kind.OPAQUE, NOT_LITERAL, Fragment("", at, exact=False), 0) for at in body.opaque] if body else []
        )
    elif language == "sql":
        try:
            late = parse(fragment)
        except RefusedError as problem:
            at = fragment.start + (problem.offset or 0) if fragment.exact else fragment.start
            source.report(finding.SYNTAX, at, problem.message)
            return effects
    else:
        return effects
    for inner in late:
        within = effects_of(inner)
        effects += _softened(within)
        if (
            language == "sql"
            and read.bodies_checked
            and inner.kind in _ANALYSED
            and not _is_polymorphic(statement.node)
        ):
            effects += _with_path(within, options)
    return effects


def _definition(statement: Parsed, body: Body, options: dict[str, Node]) -> list[Effect]:
    """What a function needs when it is called, whatever its arguments and the rows say."""
    name = (strings(statement.node.get("funcname")) or [""])[-1]
    needs = tuple(
        effect
        for step in body.steps
        if not (step.where.guarded or step.where.tolerated or step.where.dormant or "set" in options)
        for effect in effects_of(step.statement)
        if effect.kind is Kind.NEED
    )
    return [Effect(Kind.DEFINE, Relation(None, name), statement.fragment, statement.first_byte, body=needs)]


def _calls(statement: Parsed, where: Where) -> list[Effect]:
    """The function that a statement calls and does nothing else: SELECT f(), PERFORM f(), CALL f()."""
    node = statement.node
    call = node.get("funccall") if statement.kind == "CallStmt" else None
    targets = node.get("targetList", [])
    if statement.kind == "SelectStmt" and len(targets) == 1 and not node.get("fromClause"):
        call = targets[0].get("ResTarget", {}).get("val", {}).get("FuncCall")
    names = strings(call.get("funcname")) if call else []
    return [
        Effect(Kind.CALL, Relation(None, name), statement.fragment, statement.first_byte, where.only_if)
        for name in names[-1:]
    ]


def _with_path(effects: list[Effect], options: dict[str, Node]) -> list[Effect]:
    """What a function in SQL needs when it is created, under the search path that it sets for itself."""
    needs = [effect for effect in effects if effect.kind in {Kind.NEED, Kind.MENTION}]
    setting = options.get("set", {}).get("arg", {}).get("VariableSetStmt", {})
    if setting.get("name") != "search_path":
        return needs
    schemas = [constant(value) for value in setting.get("args", [])]
    own = [schema for schema in schemas if schema and schema not in {"pg_catalog", "pg_temp"}]
    if len(own) != 1:
        return [effect for effect in needs if effect.relation.schema] if not own else needs
    return [
        Effect(
            effect.kind, Relation(effect.relation.schema or own[0], effect.relation.name), effect.fragment, effect.byte
        )
        for effect in needs
    ]


def _is_polymorphic(node: Node) -> bool:
    types = [item.get("FunctionParameter", {}).get("argType", {}) for item in node.get("parameters", [])]
    return any((strings(kind.get("names")) or [""])[-1].startswith("any") for kind in types)


def _options(elements: list[Node]) -> dict[str, Node]:
    return {item["DefElem"]["defname"]: item["DefElem"] for item in elements if "DefElem" in item}


def _language(options: dict[str, Node]) -> str:
    return (strings([options.get("language", {}).get("arg", {})]) or [""])[0].lower()


def _body(statement: Parsed, options: dict[str, Node]) -> Fragment:
    """The text of a body, with its place in the file if the file has it literally."""
    option = options.get("as", {})
    text = (strings(option.get("arg")) or strings([option.get("arg", {})]) or [""])[0]
    outer = statement.fragment
    start = outer.offset(option.get("location", 0)) - outer.start if outer.exact else 0
    match = _QUOTE.search(outer.text, start)
    if match is None:
        return outer.part(start, text, exact=False)
    exact = outer.text.startswith(text, match.end())
    return outer.part(match.end() if exact else match.start(), text, exact=exact)
