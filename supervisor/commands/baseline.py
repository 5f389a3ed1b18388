"""`baseline`: let SQL files count as applied on a database that has what they make by other means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from supervisor.commands.place import find_place, say, told
from supervisor.commands.records import SHOWN, RecordChange, change_records
from supervisor.errors import ExitCode
from supervisor.postgres.plan import Plan


def run_baseline(environ: Mapping[str, str], cwd: Path, to: int | None, *, yes: bool) -> int:
    """Record files as applied, without running them.

    Args:
        environ: the process environment.
        cwd: the working directory.
        to: the last number that counts, in each folder; None for all.
        yes: do not ask.

    Returns:
        0, also when there was nothing to do; else the status of the failure, which is told on stderr.
    """

    def act() -> int:
        change = change_records(
            find_place(environ, cwd),
            lambda plan: decide(plan, to),
            "Record these as applied without running them?",
            yes=yes,
        )
        say(f"{len(change.to_record)} files recorded as applied" if change.lines else "nothing to record")
        return ExitCode.STOPPED

    return told(environ, cwd, act)


def decide(plan: Plan, to: int | None) -> RecordChange:
    """The files to record: those without a row, up to a number. Pure.

    Repeatable files are left to the next boot: they are written to run over what is there.
    """
    files = tuple(
        one.file
        for one in plan.files
        if not one.recorded and not one.file.directives.repeatable and (to is None or one.file.number <= to)
    )
    return RecordChange(tuple(f"record  {file.label}  {file.checksum[:SHOWN]}" for file in files), to_record=files)
