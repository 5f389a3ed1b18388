"""Changing what the database has on record about SQL files: named first, then asked, then done under the lock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from supervisor import errors
from supervisor.commands.place import Place, say, session
from supervisor.errors import SupervisorError
from supervisor.postgres.apply import read_plan
from supervisor.postgres.guard_table import accept, forget, make_guard_table, record
from supervisor.postgres.lock import migration_lock
from supervisor.postgres.plan import Plan
from supervisor.postgres.sqlfile import SqlFile, load_tree

# Characters of a checksum, of 64, that are enough to tell two apart at a glance.
SHOWN: Final = 12
_YES: Final = frozenset({"y", "yes"})


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What is to become of the guard table.

    Attributes:
        lines: the same for a person, one line a row.
        to_accept: files whose checksum is to become the recorded one.
        to_forget: names whose rows are to go.
        to_record: files that are to count as applied.
        left_out: for a person: what one could expect here, with the reason.
    """

    lines: tuple[str, ...] = ()
    to_accept: tuple[SqlFile, ...] = ()
    to_forget: tuple[str, ...] = ()
    to_record: tuple[SqlFile, ...] = ()
    left_out: tuple[str, ...] = ()


Decide = Callable[[Plan], RecordChange]


def change_records(place: Place, decide: Decide, question: str, *, yes: bool) -> RecordChange:
    """Decide, name every row, ask, and write all of it or nothing.

    Args:
        place: the deployment.
        decide: what is to be done, from what is there; must be pure.
        question: put to the person at the terminal.
        yes: do not ask.

    Raises:
        SupervisorError: ``command.unconfirmed``; ``command.plan_moved`` when others were faster than the answer; and
            whatever reading, locking or writing raises.
    """
    files = load_tree(place.settings.sql_dir).all
    change = anyio.run(_look, place, files, decide)
    for line in change.lines:
        print(line)  # noqa: T201
    if change.lines:
        _confirm(question, yes=yes)
        anyio.run(_write, place, files, decide, change)
    return change


async def _look(place: Place, files: tuple[SqlFile, ...], decide: Decide) -> RecordChange:
    async with session(place) as connection, connection.transaction(readonly=True):
        settings, schema = place.settings, place.target.main_schema
        return decide(await read_plan(connection, schema, files, settings.optional_extensions))


async def _write(place: Place, files: tuple[SqlFile, ...], decide: Decide, change: RecordChange) -> None:
    settings, schema = place.settings, place.target.main_schema
    async with (
        session(place) as connection,
        migration_lock(connection, settings.lock_timeout_s, place.target),
        connection.transaction(),
    ):
        # The question was put without the lock, so that no boot had to wait for a person.
        if decide(await read_plan(connection, schema, files, settings.optional_extensions)) != change:
            raise SupervisorError(
                errors.PLAN_MOVED, "what is recorded has changed since it was shown", remedy="Run the command again."
            )
        if change.to_record:
            await make_guard_table(connection, schema)
        for file in change.to_record:
            await record(connection, schema, file)
        for file in change.to_accept:
            await accept(connection, schema, file)
        await forget(connection, schema, change.to_forget)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    # Python has none for one that was closed at the start.
    if sys.stdin is None or not sys.stdin.isatty():
        raise SupervisorError(
            errors.CONFIRMATION_MISSING, "nobody can be asked, since the standard input is no terminal"
        )
    say(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in _YES:
        raise SupervisorError(errors.CONFIRMATION_MISSING, "not confirmed", remedy="Nothing was changed.")
