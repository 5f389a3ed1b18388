"""The tables and views that SQL files make, by name: nobody else may create, change or drop them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from supervisor.postgres.guard_table import GUARD_TABLE
from supervisor.postgres.splitter import Token, UnterminatedError, tokens
from supervisor.postgres.sqlfile import SqlFile

_NAMES: Final = frozenset({"word", "identifier"})
_BEFORE: Final = frozenset({"or", "replace", "unlogged", "foreign", "materialized", "recursive"})
_AFTER: Final = ("if", "not", "exists")
_SUSPECT: Final = re.compile("create.*(?:table|view)", re.IGNORECASE | re.DOTALL)


def created_tables(files: Iterable[SqlFile], schema: str) -> frozenset[str]:
    """Names of the tables and views that the files create, and of the table that records the files.

    Args:
        files: the SQL files; the bodies of their DO blocks and functions count, whatever decides if they run.
        schema: names that are qualified with another schema do not count.
    """
    found = {name for file in files for owner, name in _created(file.text) if owner in {None, schema}}
    return frozenset(found | {GUARD_TABLE})


def may_create_tables(script: str) -> bool:
    """Whether :func:`created_tables` can find anything in it: a quick look, which says yes rather too often."""
    return _SUSPECT.search(script) is not None


def _created(script: str) -> Iterator[tuple[str | None, str]]:
    try:
        every = list(tokens(script))
    except UnterminatedError:
        # The body of a routine in a language that quotes differently.
        return
    for index, token in enumerate(every):
        if token.kind == "dollar":
            tag = token.text.index("$", 1) + 1
            yield from _created(token.text[tag:-tag])
        elif _is(token, "create"):
            created = _name_after(every[index + 1 : index + 14])
            if created is not None:
                yield created


def _name_after(following: list[Token]) -> tuple[str | None, str] | None:
    rest = list(following)
    while rest and rest[0].kind == "word" and rest[0].text.lower() in _BEFORE:
        rest.pop(0)
    if not rest or not (_is(rest[0], "table") or _is(rest[0], "view")):
        return None
    rest.pop(0)
    if len(rest) > len(_AFTER) and all(map(_is, rest, _AFTER)):
        del rest[: len(_AFTER)]
    if not rest or rest[0].kind not in _NAMES:
        return None
    if len(rest) > 2 and rest[1].text == "." and rest[2].kind in _NAMES:
        return _read(rest[0]), _read(rest[2])
    return None, _read(rest[0])


def _is(token: Token, word: str) -> bool:
    return token.kind == "word" and token.text.lower() == word


def _read(token: Token) -> str:
    if token.kind == "identifier":
        return token.text[1:-1].replace('""', '"')
    return token.text.lower()
