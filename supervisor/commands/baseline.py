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
        say("\n".join([*change.left_out, _account(len(change.to_record))]))
        return ExitCode.STOPPED

    return told(environ, cwd, act)


def _account(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'} recorded as applied" if count else "nothing to record"


def decide(plan: Plan, to: int | None) -> RecordChange:
    """The files to record: those without a row, up to a number. Pure.

    Repeatable files are left to the next boot: they are written to run over what is there. One that needs an extension
    which the server does not offer is left out, for its work cannot be there.
    """
    wanted = [
        one
        for one in plan.files
        if not one.recorded and not one.file.directives.repeatable and (to is None or one.file.number <= to)
    ]
    files = tuple(one.file for one in wanted if one.missing_extension is None)
    left_out = tuple(
        f"{one.file.label} is left out: this server has no {one.missing_extension}, so nothing that the file makes"
        for one in wanted
        if one.missing_extension is not None
    )
    lines = tuple(f"record  {file.label}  {file.checksum[:SHOWN]}" for file in files)
    return RecordChange(lines, to_record=files, left_out=left_out)
