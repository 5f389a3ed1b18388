"""SQL that is put together at run time: its text where every part of it is a literal, and nothing guessed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from supervisor.check.names import constant, strings

_SPECIFIER: Final = re.compile(r"%(?:(?P<percent>%)|(?P<kind>[IsL]))")
_CREATING: Final = re.compile(r"\b(?:CREATE|RENAME|IMPORT|INTO|SCHEMA)\b", re.IGNORECASE)


def complete_text(node: object) -> str | None:
    """The text of an expression of literals alone; None when a part of it is known at run time only."""
    text = constant(node)
    if text is not None or not isinstance(node, dict):
        return text
    if "A_Expr" in node and strings(node["A_Expr"].get("name")) == ["||"]:
        left, right = complete_text(node["A_Expr"].get("lexpr")), complete_text(node["A_Expr"].get("rexpr"))
        return None if left is None or right is None else left + right
    if "FuncCall" in node:
        return _called(node["FuncCall"])
    return None


def may_create(node: object) -> bool:
    """Whether SQL that is not known could make a relation: it could, unless its literals say what else it does."""
    texts = list(_literals(node))
    return not texts or any(_CREATING.search(text) for text in texts)


def _called(call: dict[str, Any]) -> str | None:
    name = (strings(call.get("funcname")) or [""])[-1]
    arguments = [complete_text(argument) for argument in call.get("args") or []]
    known = [argument for argument in arguments if argument is not None]
    if len(known) != len(arguments) or not known:
        return None
    if name == "quote_ident":
        return _quoted(known[0])
    return _formatted(known[0], known[1:]) if name == "format" else None


def _formatted(template: str, values: list[str]) -> str | None:
    """What ``format`` makes of the three specifiers that take no position and no width; None for others."""
    rest = iter(values)
    pieces: list[str] = []
    position = 0
    while (start := template.find("%", position)) >= 0:
        match = _SPECIFIER.match(template, start)
        value = None if match is None else "%" if match["percent"] else next(rest, None)
        if match is None or value is None:
            return None
        quoted = {"I": _quoted, "L": _literal}.get(match["kind"] or "", str)
        pieces += [template[position:start], quoted(value)]
        position = match.end()
    return "".join([*pieces, template[position:]])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literals(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _literals(item)
    elif isinstance(node, dict):
        if "sval" in node and isinstance(node["sval"], dict):
            yield str(node["sval"].get("sval", ""))
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _literals(value)
