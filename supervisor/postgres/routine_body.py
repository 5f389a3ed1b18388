"""The PL/pgSQL bodies of a script, and which line of the script a line of a body is. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from supervisor.postgres.splitter import Statement, tokens

# What the server calls the body of a DO statement.
_INLINE: Final = "inline_code_block"
_FRAME: Final = re.compile(r"^PL/pgSQL function (?P<name>.+?)(?:\(.*\))? line (?P<line>[0-9]+) ", re.MULTILINE)
_DOLLAR: Final = re.compile(r"\$[^$]*\$")


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the server's account of where it was within PL/pgSQL code.

    Attributes:
        routine: the function's name, or ``inline_code_block``.
        line: the line of its body, counted from 1.
    """

    routine: str
    line: int


@dataclass(frozen=True, slots=True)
class Body:
    """The code of one DO statement, function or procedure.

    Attributes:
        text: the code, as it stands in the script.
        offset: characters before it in the script.
    """

    text: str
    offset: int

    def offset_of_line(self, line: int) -> int | None:
        """Characters of the script before line `line` of this body; None when it is not as long as that."""
        # The first line is the rest of the one that the quote opens in.
        start = 0
        for _ in range(line - 1):
            start = self.text.find("\n", start) + 1
            if start == 0:
                return None
        return self.offset + start

    def find(self, query: str, position: int, line: int) -> int | None:
        """Where in the script position `position` of `query` is.

        Args:
            query: SQL that the server took out of this body.
            position: characters before the place, within the query.
            line: the line of the body that the query begins in or after.
        """
        start = self.offset_of_line(line)
        if start is None:
            return None
        # PL/pgSQL turns PERFORM into SELECT.
        candidates = [(query, position)]
        if query.startswith("SELECT"):
            candidates.append(("PERFORM" + query[6:], position + 1))
        for text, place in candidates:
            found = _find_redacted(self.text, text, start - self.offset)
            if found is not None:
                return self.offset + found + place
        return None


def frames(context: str | None) -> list[Frame]:
    """The frames that a context of the server names, the innermost first."""
    return [Frame(match["name"], int(match["line"])) for match in _FRAME.finditer(context or "")]


def body_of_frame(frame: Frame, statement: Statement, statements: Sequence[Statement]) -> Body | None:
    """The body in the script that a frame speaks of.

    Args:
        frame: the frame.
        statement: the statement that was running.
        statements: every statement of the script.

    Returns:
        None when the script does not hold it, or holds several routines of that name.
    """
    if frame.routine == _INLINE:
        return body_of(statement) if statement.words[:1] == ("do",) else None
    name = frame.routine.rpartition(".")[2].strip('"')
    found = [one for one in statements if one.offset < statement.offset and _created_routine(one) == name]
    return body_of(found[0]) if len(found) == 1 else None


def body_of(statement: Statement) -> Body | None:
    """The code within the quotes of a DO, CREATE FUNCTION or CREATE PROCEDURE statement; None where there is none."""
    is_block = statement.words[:1] == ("do",)
    before = ""
    for token in tokens(statement.text):
        if token.kind in {"dollar", "string"} and (before != "language" if is_block else before == "as"):
            match = _DOLLAR.match(token.text)
            quote = len(match.group()) if match else 1
            return Body(token.text[quote:-quote], statement.offset + token.start + quote)
        before = token.text.lower()
    return None


def _created_routine(statement: Statement) -> str | None:
    words = statement.words
    kind = words[3:4] if words[1:3] == ("or", "replace") else words[1:2]
    if words[:1] != ("create",) or kind not in (("function",), ("procedure",)):
        return None
    name = ""
    for token in tokens(statement.text):
        if token.kind == "open":
            return name
        if token.kind == "word":
            name = token.text.lower()
        elif token.kind == "identifier":
            name = token.text[1:-1].replace('""', '"')
    return None


def _find_redacted(text: str, query: str, start: int) -> int | None:
    """Find `query` in `text`; where it has blanks, the text may have anything: INTO clauses are blanked out."""
    head = query.split(maxsplit=1)[:1]
    if not head:
        return None
    lead = query.index(head[0])
    found = text.find(head[0], start)
    while found >= 0:
        begin = found - lead
        part = text[begin : begin + len(query)] if begin >= 0 else ""
        if len(part) == len(query) and all(a == b or a.isspace() for a, b in zip(query, part, strict=True)):
            return begin
        found = text.find(head[0], found + 1)
    return None
