"""PostgreSQL's own grammar (pglast): a script becomes statements with their places, or findings. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pglast.parser import ParseError, parse_sql_json

from supervisor.check import finding
from supervisor.check.source import Fragment, Source
from supervisor.postgres.splitter import UnterminatedError, split

# JSON costs a tenth of pglast's own node objects.
Node = dict[str, Any]

_BLANK: Final = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_COPY_DATA: Final = re.compile(
    r"^(?P<command>[ \t]*COPY\b[^;]*?\bFROM\s+STDIN\b[^;]*;[^\n]*\n)(?P<rows>.*?)^\\\.[ \t]*$",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_PSQL_COMMAND: Final = re.compile(r"\\[^\n]*")
_PSQL_VARIABLE: Final = re.compile(r":(?:[A-Za-z_]|'[^'\n]+'|\"[^\"\n]+\"|\{\?)")
# A script of thousands of psql commands needs no complete list of them.
_MOST_COMMANDS: Final = 50


class RefusedError(Exception):
    """A text that PostgreSQL's grammar refuses.

    Args:
        message: what the grammar says.
        offset: characters before the place; None when it is not known.
    """

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement.

    Attributes:
        kind: the name of its node, such as "AlterTableStmt".
        node: the content of the node.
        fragment: what the locations in the node refer to.
        byte: where it begins in the fragment, blanks and comments before it included.
        length: in bytes; 0 for "to the end of the fragment".
    """

    kind: str
    node: Node
    fragment: Fragment
    byte: int = 0
    length: int = 0

    @property
    def first_byte(self) -> int:
        """Bytes of the fragment before its first word."""
        text = self.fragment.text
        start = self.byte if text.isascii() else len(text.encode()[: self.byte].decode(errors="ignore"))
        match = _BLANK.match(text, start)
        end = match.end() if match else start
        return end if text.isascii() else len(text[:end].encode())

    @property
    def offset(self) -> int:
        """Characters of the file before its first word."""
        return self.fragment.offset(self.first_byte)

    @property
    def text(self) -> str:
        """The statement as it stands in the fragment."""
        end = self.byte + self.length if self.length else None
        return self.fragment.text.encode()[self.byte : end].decode(errors="ignore")


def parse(fragment: Fragment) -> list[Parsed]:
    """Parse the statements of a fragment.

    Raises:
        RefusedError: at the first thing that the grammar refuses.
    """
    try:
        statements = json.loads(parse_sql_json(fragment.text))["stmts"]
    except ParseError as error:
        message, *rest = error.args
        raise RefusedError(str(message), rest[0] if rest and isinstance(rest[0], int) else None) from None
    except RecursionError:
        raise RefusedError("it is nested too deeply to be read", None) from None
    except ValueError as error:
        raise RefusedError(f"it cannot be read: {error}", None) from None
    return [
        Parsed(kind, node, fragment, statement.get("stmt_location", 0), statement.get("stmt_len", 0))
        for statement in statements
        for kind, node in statement.get("stmt", {}).items()
    ]


def parse_file(source: Source) -> list[Parsed]:
    """Parse a file; what cannot be parsed is reported, and the statements around it are still read."""
    try:
        return parse(Fragment(source.text, 0))
    except RefusedError:
        pass
    text = _without_psql(source)
    try:
        return parse(Fragment(text, 0))
    except RefusedError:
        return list(_one_by_one(source, text))


def _without_psql(source: Source) -> str:
    """The text with what only psql understands blanked out, each of it reported."""
    text = _COPY_DATA.sub(lambda match: match["command"] + _blanked(match["rows"]) + "  ", source.text)
    for _ in range(_MOST_COMMANDS):
        try:
            parse(Fragment(text, 0))
        except RefusedError as problem:
            at = problem.offset
            match = _PSQL_COMMAND.match(text, at) if at is not None else None
            if at is None or match is None:
                break
            source.report(finding.PSQL_COMMAND, at, f"{match.group().split()[0]} is a command of psql")
            text = text[:at] + " " * len(match.group()) + text[match.end() :]
        else:
            break
    return text


def _blanked(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _one_by_one(source: Source, text: str) -> Iterator[Parsed]:
    try:
        statements = split(text)
    except UnterminatedError as error:
        source.report(
            finding.SYNTAX,
            error.offset,
            f"a {error.what} begins here and never ends",
            remedy=f"Close the {error.what}.",
        )
        # The statement that it stands in is broken, those before it are not.
        statements = split(text[: error.offset])[:-1]
    for statement in statements:
        try:
            yield from parse(Fragment(statement.text, statement.offset))
        except RefusedError as problem:
            at = statement.offset + (problem.offset or 0)
            if _PSQL_VARIABLE.match(text, at):
                source.report(finding.PSQL_COMMAND, at, "a variable of psql")
            else:
                source.report(finding.SYNTAX, at, problem.message)
