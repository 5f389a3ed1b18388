"""Where in a SQL file the server's message points to: line, column, and the line itself with a caret. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from supervisor.postgres.routine_body import body_of_frame, frames
from supervisor.postgres.splitter import Statement
from supervisor.postgres.sqlfile import SqlFile

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file.

    Attributes:
        line: counted from 1.
        column: in characters, counted from 1; None when only the line is known.
    """

    line: int
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.line}:{self.column}" if self.column else str(self.line)


def place_of(said: Any, file: SqlFile, statement: Statement | None) -> Place:  # noqa: ANN401 - an error or a notice
    """Where the server's message points to.

    Args:
        said: an error or a notice of asyncpg.
        file: the file that was running.
        statement: the statement that was running; None when the file as a whole was, at its deferred constraints.
    """
    if statement is None:
        return Place(file.text.rstrip().count("\n") + 1)
    if said.position:
        return _at(file, statement.offset + int(said.position) - 1)
    for depth, frame in enumerate(frames(said.context)):
        body = body_of_frame(frame, statement, file.statements)
        if body is None:
            continue
        # SQL within PL/pgSQL is told by itself, and belongs to the innermost frame.
        if depth == 0 and said.internal_query and said.internal_position:
            offset = body.find(said.internal_query, int(said.internal_position) - 1, frame.line)
            if offset is not None:
                return _at(file, offset)
        offset = body.offset_of_line(frame.line)
        if offset is not None:
            return Place(_at(file, offset).line)
    return Place(statement.line)


def excerpt(text: str, place: Place) -> str:
    """The line of a place, with a caret below it: at the column, or at the first character that is no blank."""
    line = text.split("\n")[place.line - 1]
    column = place.column or len(line) - len(line.lstrip()) + 1
    # Of a very long line, the part around the place.
    start = max(0, column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    part = line[start : start + _WIDTH].rstrip()
    number = str(place.line)
    blanks = "".join("\t" if character == "\t" else " " for character in line[start : column - 1])
    return f"{number} | {part}\n{' ' * len(number)} | {blanks}^"


def _at(file: SqlFile, offset: int) -> Place:
    line = file.text.count("\n", 0, offset) + 1
    return Place(line, offset - file.text.rfind("\n", 0, offset))
