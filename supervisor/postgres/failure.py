"""What a failed statement becomes: file, line, column, what the server said, and one sentence of remedy. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncpg import AssertError, PostgresError

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.concurrent_index import concurrent_index
from supervisor.postgres.place import excerpt, place_of
from supervisor.postgres.remedies import remedy_for
from supervisor.postgres.splitter import Statement
from supervisor.postgres.sqlfile import SqlFile

_UNDEFINED_TABLE: Final = "42P01"
_RELATION: Final = re.compile(r'relation "(?:[^"]*\.)?(?P<name>[^".]+)"')
_AGAIN: Final = (
    "The next boot begins with the first statement again: guard those that ran (IF NOT EXISTS, OR REPLACE). "
)

# Given the name of a relation that does not exist: what to do about it, if that is known.
ExplainMissing = Callable[[str], str | None]


def sql_failure(
    error: PostgresError,
    file: SqlFile,
    statement: Statement | None,
    explain_missing: ExplainMissing,
    *,
    kept: Sequence[Statement] = (),
) -> SupervisorError:
    """Explain the failure of one statement.

    Args:
        error: what the server said.
        file: the file that was running.
        statement: the statement that failed; None when the file as a whole did, at its deferred constraints.
        explain_missing: asked for the remedy when a relation does not exist.
        kept: of a file without a transaction, the statements that ran before.

    Returns:
        ``sql.failed``, or ``sql.assertion_failed``.
    """
    said: Any = error
    place = place_of(said, file, statement)
    message = str(said.message)
    remedy = _remedy(said, statement, explain_missing)
    facts = {
        "detail": said.detail,
        "hint": said.hint,
        "where": said.context,
        "constraint": said.constraint_name,
        "kept_lines": [one.line for one in kept],
        "excerpt": excerpt(file.text, place),
    }
    failure = errors.SQL_ASSERTION_FAILED if isinstance(error, AssertError) else errors.SQL_FAILED
    told = message if isinstance(error, AssertError) else f"{message} (SQLSTATE {said.sqlstate})"
    if not file.directives.transaction:
        told += f"; {_what_is_kept(file, statement, kept)}"
        remedy = (_AGAIN if kept else "") + (remedy or failure.remedy)
    return SupervisorError(
        failure,
        f"{file.label}:{place}: {told}",
        remedy=remedy,
        file=file.label,
        line=place.line,
        sqlstate=said.sqlstate,
        **{name: value for name, value in facts.items() if value},
    )


def _remedy(said: Any, statement: Statement | None, explain_missing: ExplainMissing) -> str | None:  # noqa: ANN401
    if statement is not None and statement.words[:2] == ("discard", "all"):
        return "Take it out: it would release the migration lock, and what a file has SET is reset after it."
    if said.sqlstate == _UNDEFINED_TABLE and (match := _RELATION.search(str(said.message))):
        known = explain_missing(match["name"])
        if known is not None:
            return known
    return remedy_for(said.sqlstate)


def _what_is_kept(file: SqlFile, statement: Statement | None, kept: Sequence[Statement]) -> str:
    total = len(file.statements)
    if not kept:
        told = "the file runs without a transaction, and this was its first statement"
    else:
        lines = ("line " if len(kept) == 1 else "lines ") + ", ".join(str(one.line) for one in kept)
        told = f"the file runs without a transaction: {len(kept)} of its {total} statements ran and are kept ({lines})"
    index = concurrent_index(statement) if statement is not None else None
    if index is not None and index.name is not None:
        told += f"; if it left the index {index.name!r} invalid, the next run drops that and builds it anew"
    return told
