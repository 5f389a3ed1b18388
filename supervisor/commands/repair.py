"""`repair`: accept SQL files that were edited after they ran, and drop rows that have no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor.commands.place import find_place, say, told
from supervisor.commands.records import SHOWN, RecordChange, change_records
from supervisor.errors import USAGE, ExitCode, SupervisorError
from supervisor.postgres.plan import Plan, State


def run_repair(environ: Mapping[str, str], cwd: Path, names: Sequence[str], *, drop_orphans: bool, yes: bool) -> int:
    """Make the recorded checksums those of the files; nothing of the files is run.

    Args:
        environ: the process environment.
        cwd: the working directory.
        names: the files concerned, with or without their folder; none takes all.
        drop_orphans: also drop the rows that have no file.
        yes: do not ask.

    Returns:
        0, also when there was nothing to do; else the status of the failure, which is told on stderr.
    """

    def act() -> int:
        change = change_records(
            find_place(environ, cwd),
            lambda plan: decide(plan, names, drop_orphans=drop_orphans),
            "Record this without running anything?",
            yes=yes,
        )
        counts = f"{len(change.to_accept)} checksums accepted, {len(change.to_forget)} rows dropped"
        say(counts if change.lines else "nothing to repair")
        return ExitCode.STOPPED

    return told(environ, cwd, act)


def decide(plan: Plan, names: Sequence[str], *, drop_orphans: bool) -> RecordChange:
    """What there is to repair. Pure.

    Args:
        plan: the files and their record.
        names: the files concerned, with or without their folder; none takes all.
        drop_orphans: whether rows without a file count.

    Raises:
        SupervisorError: ``usage`` when one of the names is not among what can be repaired.
    """
    edited = plan.of(State.CHANGED)
    orphans = plan.rows_without_file if drop_orphans else ()
    known = {file.name for file in edited} | {file.label for file in edited} | set(orphans)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SupervisorError(
            USAGE,
            f"{', '.join(unknown)}: neither a file that was edited after it ran, nor a row to drop",
            remedy="`directus-supervisor plan` shows what can be repaired; rows without a file need --drop-orphans.",
        )
    accepted = tuple(file for file in edited if not names or {file.name, file.label} & set(names))
    dropped = tuple(name for name in orphans if not names or name in names)
    lines = [
        f"accept  {file.label}  recorded {(plan.recorded[file.name] or '')[:SHOWN]}, found {file.checksum[:SHOWN]}"
        for file in accepted
    ]
    lines += [f"drop    {name}  the row of a file that is not here" for name in dropped]
    return RecordChange(tuple(lines), to_accept=accepted, to_forget=dropped)
