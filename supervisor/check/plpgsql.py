"""PL/pgSQL bodies: the SQL in them in the order in which it runs, each with its conditions. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from pglast.parser import ParseError, parse_plpgsql_json

from supervisor.check.dynamic import complete_texts, may_create, texts_of_array
from supervisor.check.grammar import Node, Parsed, RefusedError, parse
from supervisor.check.guards import Relations, Truth, truth_of_rows
from supervisor.check.names import Relation, constant, from_text
from supervisor.check.places import ASSIGNMENT, SELECT, Places, start_in
from supervisor.check.source import Fragment

_ROW_TYPE: Final = re.compile(
    r'(?P<name>(?:[\w$]+|"[^"\n]+")(?:\s*\.\s*(?:[\w$]+|"[^"\n]+"))*)\s*%ROWTYPE\b', re.IGNORECASE
)
_COLUMN_TYPE: Final = re.compile(
    r'(?P<name>(?:[\w$]+|"[^"\n]+")(?:\.(?:[\w$]+|"[^"\n]+"))?)\.(?:[\w$]+|"[^"\n]+")%TYPE\b', re.IGNORECASE
)
_TYPE_MARK: Final = re.compile(r"%(?:ROW)?TYPE\b", re.IGNORECASE)
_NOT_CODE: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_NEAR: Final = re.compile(r'at or near "(?P<token>.*)"$', re.DOTALL)
# What the parser says of a body that is wrong wherever it runs; the rest may come from what it does not know.
_CERTAIN: Final = ("syntax error", "missing ", "mismatched ", "unterminated ", "too few ", "too many ", "unrecognized ")
# Exceptions that a missing relation is, by their names in PL/pgSQL.
_TOLERATING: Final = frozenset({"others", "undefined_table", "42p01", "syntax_error_or_access_rule_violation"})
_ERROR_LEVEL: Final = 21
_LEAVING: Final = frozenset({"PLpgSQL_stmt_return", "PLpgSQL_stmt_raise", "PLpgSQL_stmt_exit"})


@dataclass(frozen=True, slots=True)
class Where:
    """The conditions that something stands under.

    Attributes:
        only_if: relations without which it does not run.
        guarded: whether it may be left out, or its failure be caught.
        tolerated: whether the lack of a relation is caught.
        dormant: whether it runs only after another failure.
    """

    only_if: Relations = frozenset()
    guarded: bool = False
    tolerated: bool = False
    dormant: bool = False

    def under(self, relations: Relations) -> Where:
        """The same with a condition more."""
        return Where(self.only_if | relations, True, self.tolerated, self.dormant)


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL statement, or an expression of a body.

    Attributes:
        statement: as it is parsed.
        where: the conditions that it stands under.
        in_block: whether it stands in a DO block.
    """

    statement: Parsed
    where: Where
    in_block: bool = False


@dataclass
class Body:
    """What a body does.

    Attributes:
        steps: its SQL, in order.
        row_types: relations whose rows it declares variables of, with their places.
        asserted: relations without which it raises an exception, with their places.
        opaque: places where it runs SQL that cannot be known and may make relations.
        ends_transaction: places of COMMIT and ROLLBACK, with the word.
        problems: places and messages of what the grammar refuses.
    """

    steps: list[Step] = field(default_factory=list)
    row_types: list[tuple[Relation, int]] = field(default_factory=list)
    asserted: list[tuple[Relation, int]] = field(default_factory=list)
    opaque: list[int] = field(default_factory=list)
    ends_transaction: list[tuple[str, int]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_body(statement: str, body: Fragment) -> Body:
    """Read the body of a DO block or of a PL/pgSQL function.

    Args:
        statement: the whole statement, which the parser wants.
        body: its body.

    Raises:
        RefusedError: when PL/pgSQL's grammar refuses it; with an offset (in the file) where the place is known.
        UnreadableBodyError: when it may be fine and still cannot be read here.
    """
    result = Body()
    # Most bodies have none, and blanking a long one out takes longer than parsing it.
    if _TYPE_MARK.search(body.text):
        code = _code_of(body)
        for match in (*_ROW_TYPE.finditer(code), *_COLUMN_TYPE.finditer(code)):
            relation = from_text(match["name"])
            if relation is not None:
                result.row_types.append((relation, start_in(body, match.start())))
    reader = _Reader(body, result)
    for function in _parsed(statement, body):
        reader.function(function.get("PLpgSQL_function", {}))
    return result


class UnreadableBodyError(Exception):
    """A body that is beyond the parser."""


def _code_of(body: Fragment) -> str:
    """The body with comments and literals blanked out."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), body.text)


def _parsed(statement: str, body: Fragment) -> list[Any]:
    # The parser knows no table, so it takes a row of one for a scalar.
    has_rows = "%rowtype" in statement.lower()
    readable = _ROW_TYPE.sub(lambda match: "record".ljust(len(match.group())), statement) if has_rows else statement
    try:
        functions = json.loads(parse_plpgsql_json(readable))
    except ParseError as error:
        message = str(error.args[0])
        near = _NEAR.search(message)
        if near is None and not message.startswith(_CERTAIN):
            raise UnreadableBodyError(message) from None
        token = near["token"] if near else ""
        places = (
            [match.start() for match in re.finditer(rf"(?<!\w){re.escape(token)}(?!\w)", _code_of(body))]
            if token
            else []
        )
        # The parser gives no place, so a word that stands there twice is not known to be the one.
        raise RefusedError(message, start_in(body, places[0]) if len(places) == 1 else None) from None
    except (ValueError, RecursionError) as error:
        raise UnreadableBodyError(str(error)) from None
    return functions if isinstance(functions, list) else []


class _Reader:
    """Walks through the tree of one body, from top to bottom."""

    def __init__(self, body: Fragment, result: Body) -> None:
        self._body = body
        self._result = result
        self._variables: dict[str, Truth] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._names: dict[int, str] = {}
        self._places = Places(body)

    def function(self, function: Node) -> None:
        for number, datum in enumerate(function.get("datums", [])):
            variable = datum.get("PLpgSQL_var", {})
            self._names[number] = variable.get("refname", "").lower()
            self._places.go_to(variable.get("lineno"), back=True)
            self._expression(variable.get("cursor_explicit_expr"), Where(tolerated=True))
            value = self._expression(variable.get("default_val"), Where())
            if value and "refname" in variable:
                self._variables[self._names[number]] = self._known(value)
                text = constant(_target_of(value[0]))
                if variable.get("isconst") and text is not None:
                    self._texts[self._names[number]] = (text,)
        # A handler's own variables are among them, so the last may stand far below.
        self._places.go_to(1, back=True)
        self._statement(function.get("action", {}), Where())

    def _block(self, statements: object, where: Where) -> Where:
        """Read statements; returns what the ones after them stand under."""
        for statement in statements if isinstance(statements, list) else []:
            where = self._statement(statement, where)
        return where

    def _statement(self, statement: Node, where: Where) -> Where:  # noqa: C901 - one case for each kind
        for kind, content in statement.items():
            self._places.go_to(content.get("lineno"))
            match kind:
                case "PLpgSQL_stmt_block":
                    return self._nested(content, where)
                case "PLpgSQL_stmt_if":
                    branches = [item.get("PLpgSQL_if_elsif", {}) for item in content.get("elsif_list", [])]
                    first = {**content, "stmts": content.get("then_body")}
                    return self._branches([first, *branches], content.get("else_body"), where)
                case "PLpgSQL_stmt_case" if "t_expr" not in content:
                    branches = [item.get("PLpgSQL_case_when", {}) for item in content.get("case_when_list", [])]
                    return self._branches(
                        [{**branch, "cond": branch.get("expr")} for branch in branches],
                        content.get("else_stmts"),
                        where,
                    )
                case "PLpgSQL_stmt_exit" if "cond" in content:
                    return where.under(self._known(self._expression(content["cond"], where)).if_false)
                case "PLpgSQL_stmt_assert":
                    self._assert(content, where)
                case "PLpgSQL_stmt_foreach_a":
                    self._foreach(content, where)
                case "PLpgSQL_stmt_assign":
                    self._assign(content, where)
                case "PLpgSQL_stmt_execsql" | "PLpgSQL_stmt_perform":
                    self._sql(content, where)
                case "PLpgSQL_stmt_commit" | "PLpgSQL_stmt_rollback":
                    self._result.ends_transaction.append((kind.rpartition("_")[2].upper(), self._places.here))
                case _:
                    self._other(content, where)
        return where

    def _nested(self, block: Node, where: Where) -> Where:
        handlers = [
            item.get("PLpgSQL_exception", {})
            for item in block.get("exceptions", {}).get("PLpgSQL_exception_block", {}).get("exc_list", [])
        ]
        if not handlers:
            return self._block(block.get("body"), where)
        caught = {
            condition.get("PLpgSQL_condition", {}).get("condname", "").lower()
            for handler in handlers
            for condition in handler.get("conditions", [])
        }
        tolerated = where.tolerated or bool(caught & _TOLERATING)
        self._block(block.get("body"), Where(where.only_if, True, tolerated, where.dormant))
        for handler in handlers:
            self._block(handler.get("action"), Where(where.only_if, True, where.tolerated, True))
        return where

    def _branches(self, branches: list[Node], otherwise_body: object, where: Where) -> Where:
        """Read IF, or CASE without an operand; returns what the statements after it stand under."""
        otherwise, afterwards = where.under(frozenset()), where
        for index, branch in enumerate(branches):
            self._places.go_to(branch.get("lineno"))
            at, statements = self._places.here, branch.get("stmts")
            known = self._known(self._expression(branch.get("cond"), otherwise if index else where))
            self._block(statements, otherwise.under(known.if_true))
            if self._leaves(statements):
                afterwards = afterwards.under(known.if_false)
                if self._raises(statements) and not where.tolerated:
                    self._result.asserted += [(relation, at) for relation in known.if_false if relation.name]
            otherwise = otherwise.under(known.if_false)
        self._block(otherwise_body, otherwise)
        return afterwards

    def _assert(self, content: Node, where: Where) -> None:
        at = self._places.here
        known = self._known(self._expression(content.get("cond"), where))
        self._expression(content.get("message"), Where(tolerated=True, dormant=True))
        if not where.tolerated:
            self._result.asserted += [(relation, at) for relation in known.if_true if relation.name]

    def _foreach(self, content: Node, where: Where) -> None:
        """A loop over an array, whose variable has a known text where the array is one of literals."""
        name = self._names.get(content.get("varno", -1), "")
        parsed = self._expression(content.get("expr"), where)
        self._texts[name] = texts_of_array(_target_of(parsed[0])) if parsed else ()
        self._block(content.get("body"), where.under(frozenset()))
        self._texts.pop(name, None)

    def _leaves(self, statements: object) -> bool:
        return isinstance(statements, list) and any(
            kind in _LEAVING and (kind != "PLpgSQL_stmt_raise" or content.get("elog_level") == _ERROR_LEVEL)
            for statement in statements
            for kind, content in statement.items()
        )

    def _raises(self, statements: object) -> bool:
        return isinstance(statements, list) and any(
            statement.get("PLpgSQL_stmt_raise", {}).get("elog_level") == _ERROR_LEVEL for statement in statements
        )

    def _assign(self, content: Node, where: Where) -> None:
        expression = content.get("expr", {}).get("PLpgSQL_expr", {})
        match = ASSIGNMENT.match(expression.get("query", ""))
        parsed = self._expression(content.get("expr"), where)
        if match and parsed:
            name = match["name"].strip().lower()
            self._variables[name] = self._known(parsed)
            self._texts.pop(name, None)

    def _sql(self, content: Node, where: Where) -> None:
        parsed = self._expression(content.get("sqlstmt") or content.get("expr"), where)
        if not parsed or parsed[0].kind != "SelectStmt":
            return
        known = self._known(parsed)
        self._variables["found"] = known
        names = [item.get("name") for item in content.get("target", {}).get("PLpgSQL_row", {}).get("fields", [])]
        if len(names) == 1 and names[0]:
            self._variables[names[0].lower()] = known

    def _other(self, content: Node, where: Where) -> None:
        """Loops, RETURN, EXECUTE and the rest: expressions, and lists of statements that may not run."""
        for key, value in content.items():
            if isinstance(value, dict) and "PLpgSQL_expr" in value:
                dynamic = key == "dynquery" or (key == "query" and "params" in content)
                self._expression(value, where, execute=dynamic or self._executes(key, content))
            elif isinstance(value, list):
                inner = where.under(frozenset())
                for item in value:
                    if isinstance(item, dict) and "PLpgSQL_expr" in item:
                        self._expression(item, where)
                    elif isinstance(item, dict):
                        inner = self._inner(item, inner)

    def _inner(self, item: Node, where: Where) -> Where:
        """Read one item of a list; returns what the ones after it stand under."""
        for kind, content in item.items():
            if kind.startswith("PLpgSQL_stmt_"):
                return self._statement(item, where)
            if isinstance(content, dict):
                self._other(content, where)
        return where

    def _executes(self, key: str, content: Node) -> bool:
        expression = content.get(key, {}).get("PLpgSQL_expr", {})
        # A static query is parsed as a statement, one for EXECUTE as an expression.
        return key == "query" and expression.get("parseMode") == 2

    def _expression(self, node: object, where: Where, *, execute: bool = False) -> list[Parsed]:
        expression = node.get("PLpgSQL_expr", {}) if isinstance(node, dict) else {}
        query = expression.get("query", "")
        if not query:
            return []
        fragment = self._places.fragment(query, expression.get("parseMode", 0))
        try:
            parsed = parse(fragment)
        except RefusedError as problem:
            at = fragment.start + (problem.offset or 0) if fragment.exact else fragment.start
            self._result.problems.append((at, problem.message))
            return []
        self._result.steps += [Step(statement, where) for statement in parsed]
        if execute and parsed:
            self._execute(parsed[0], where)
        return parsed

    def _execute(self, parsed: Parsed, where: Where) -> None:
        target = _target_of(parsed)
        texts = complete_texts(target, self._texts)
        if texts is None and may_create(target):
            self._result.opaque.append(parsed.offset)
        constant_at = target.get("A_Const", {}).get("location") if isinstance(target, dict) else None
        location = len(SELECT) if constant_at is None else constant_at
        start = parsed.fragment.offset(location) + 1
        for text in texts or ():
            exact = parsed.fragment.exact and self._body.text.startswith(text, start - self._body.start)
            fragment = Fragment(text, start if exact else parsed.fragment.offset(location), exact)
            try:
                self._result.steps += [Step(statement, where) for statement in parse(fragment)]
            except RefusedError as problem:
                self._result.problems.append((fragment.offset(0), f"{problem.message} in the SQL of EXECUTE"))
                return

    def _known(self, parsed: list[Parsed]) -> Truth:
        """What follows from the value of an expression, or from the rows of a query."""
        if not parsed or parsed[0].kind != "SelectStmt":
            return Truth()
        return truth_of_rows(parsed[0].node, self._variables)


def _target_of(parsed: Parsed) -> object:
    """What an expression, which is parsed as ``SELECT expression``, consists of."""
    return (parsed.node.get("targetList") or [{}])[0].get("ResTarget", {}).get("val")
