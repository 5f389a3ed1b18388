"""SQL that is put together at run time: its text where every part of it is known, and nothing guessed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from supervisor.check.names import constant, strings

_SPECIFIER: Final = re.compile(r"%(?:(?P<percent>%)|(?P<kind>[IsL]))")
# A loop over more tables than these is looked at for the first ones.
_MOST_TEXTS: Final = 100
_CREATING: Final = re.compile(r"\b(?:CREATE|RENAME|IMPORT|INTO|SCHEMA)\b", re.IGNORECASE)


def complete_texts(node: object, variables: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The texts that an expression can have; None when a part of it is known at run time only.

    Args:
        node: the expression.
        variables: the texts that PL/pgSQL variables can have, by name; the others are not known.
    """
    names = [name for name in variables if name in _columns(node)]
    found: list[str] = []
    for values in islice(product(*(variables[name] for name in names)), _MOST_TEXTS):
        text = _complete_text(node, dict(zip(names, values, strict=True)))
        if text is None:
            return None
        found.append(text)
    return found or None


def texts_of_array(node: object) -> tuple[str, ...]:
    """The elements of an ``ARRAY['a', 'b']``; none when one of them is no literal."""
    if isinstance(node, dict) and "TypeCast" in node:
        node = node["TypeCast"].get("arg")
    if not isinstance(node, dict) or "A_ArrayExpr" not in node:
        return ()
    texts = [constant(element) for element in node["A_ArrayExpr"].get("elements") or []]
    return tuple(text for text in texts if text is not None) if None not in texts else ()


def _complete_text(node: object, variables: Mapping[str, str]) -> str | None:
    text = constant(node)
    if text is not None or not isinstance(node, dict):
        return text
    if "A_Expr" in node and strings(node["A_Expr"].get("name")) == ["||"]:
        left = _complete_text(node["A_Expr"].get("lexpr"), variables)
        right = _complete_text(node["A_Expr"].get("rexpr"), variables)
        return None if left is None or right is None else left + right
    if "ColumnRef" in node:
        return variables.get(".".join(strings(node["ColumnRef"].get("fields"))))
    if "FuncCall" in node:
        return _called(node["FuncCall"], variables)
    return None


def may_create(node: object) -> bool:
    """Whether SQL that is not known could make a relation: it could, unless its literals say what else it does."""
    texts = list(_literals(node))
    return not texts or any(_CREATING.search(text) for text in texts)


def _called(call: dict[str, Any], variables: Mapping[str, str]) -> str | None:
    name = (strings(call.get("funcname")) or [""])[-1]
    arguments = [_complete_text(argument, variables) for argument in call.get("args") or []]
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


def _columns(node: object) -> set[str]:
    """The names that an expression refers to."""
    if isinstance(node, list):
        return set().union(*map(_columns, node))
    if not isinstance(node, dict):
        return set()
    own = {".".join(strings(node["ColumnRef"].get("fields")))} if "ColumnRef" in node else set()
    return own.union(*map(_columns, node.values()))


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
