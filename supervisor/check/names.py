"""Names of relations as PostgreSQL reads them: quoted or folded, with a schema or without. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_PART: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\W\d][\w$]*))\s*(?P<dot>\.|$)')


class Relation(NamedTuple):
    """A table, view, sequence or index.

    Attributes:
        schema: None for "wherever the search path finds it".
        name: as the catalogue has it.
    """

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def from_text(text: str) -> Relation | None:
    """The relation that a string names when it is cast to regclass; None when it is no name."""
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        parts.append(match["quoted"].replace('""', '"') if match["quoted"] else match["plain"].lower())
        position = match.end()
        if not match["dot"]:
            return from_parts(parts)
    return None


def from_parts(parts: list[str]) -> Relation | None:
    """The relation of ``[[database.]schema.]name``."""
    if not parts or len(parts) > 3:
        return None
    return Relation(parts[-2] if len(parts) > 1 else None, parts[-1])


def from_range(node: dict[str, Any]) -> Relation:
    """The relation of a RangeVar."""
    return Relation(node.get("schemaname"), node["relname"])


def strings(node: object) -> list[str]:
    """The texts of a list of String nodes; empty when it is none."""
    if isinstance(node, dict):
        node = node.get("List", {}).get("items", [node] if "String" in node else [])
    if not isinstance(node, list):
        return []
    return [item["String"].get("sval", "") for item in node if isinstance(item, dict) and "String" in item]


def constant(node: object) -> str | None:
    """The text of a string literal, also of one cast to text; None when the expression is none."""
    if not isinstance(node, dict):
        return None
    if "A_Const" in node and "sval" in node["A_Const"]:
        return str(node["A_Const"]["sval"].get("sval", ""))
    if "TypeCast" in node:
        cast = node["TypeCast"]
        if strings(cast.get("typeName", {}).get("names"))[-1:] in (["text"], ["name"], ["varchar"]):
            return constant(cast.get("arg"))
    return None
