"""What a failed statement becomes: file, line, column, what the server said, and one sentence of remedy. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from asyncpg import PostgresError

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.splitter import Statement
from supervisor.postgres.sqlfile import SqlFile

_UNDEFINED_TABLE: Final = "42P01"
_RELATION: Final = re.compile(r'relation "(?:[^"]*\.)?(?P<name>[^".]+)"')

# Given the name of a relation that does not exist: what to do about it, if that is known.
ExplainMissing = Callable[[str], str | None]


def sql_failure(
    error: PostgresError, file: SqlFile, statement: Statement | None, explain_missing: ExplainMissing
) -> SupervisorError:
    """Explain the failure of one statement.

    Args:
        error: what the server said.
        file: the file that was running.
        statement: the statement that failed; None when the file as a whole did, at its deferred constraints.
        explain_missing: asked for the remedy when a relation does not exist.
    """
    said: Any = error
    line, column = _place(said, file, statement)
    place = f"{file.label}:{line}" + (f":{column}" if column else "")
    remedy = None
    if said.sqlstate == _UNDEFINED_TABLE and (match := _RELATION.search(str(said.message))):
        remedy = explain_missing(match["name"])
    facts = {
        "detail": said.detail,
        "hint": said.hint,
        "where": said.context,
        "constraint": said.constraint_name,
    }
    return SupervisorError(
        errors.SQL_FAILED,
        f"{place}: {said.message} (SQLSTATE {said.sqlstate})",
        remedy=remedy,
        file=file.label,
        line=line,
        sqlstate=said.sqlstate,
        **{name: value for name, value in facts.items() if value},
    )


def _place(said: Any, file: SqlFile, statement: Statement | None) -> tuple[int, int | None]:  # noqa: ANN401
    if statement is None:
        return file.text.rstrip().count("\n") + 1, None
    if not said.position:
        return statement.line, None
    offset = statement.offset + int(said.position) - 1
    line = file.text.count("\n", 0, offset) + 1
    return line, offset - file.text.rfind("\n", 0, offset)
