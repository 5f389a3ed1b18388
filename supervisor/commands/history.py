"""`history`: the past boots of a deployment, from what the supervisor keeps in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from supervisor.commands.place import Place, find_place, say, session, told
from supervisor.commands.table import table
from supervisor.errors import ExitCode
from supervisor.postgres.history import PastBoot, read_boots


def run_history(environ: Mapping[str, str], cwd: Path, limit: int, *, as_json: bool) -> int:
    """Print the past boots, the last one first.

    Args:
        environ: the process environment.
        cwd: the working directory.
        limit: how many.
        as_json: as one JSON array on stdout.

    Returns:
        0, also when there are none; else the status of the failure, which is told on stderr.
    """

    def act() -> int:
        boots = anyio.run(_read, find_place(environ, cwd), limit)
        if as_json:
            print(as_document(boots))  # noqa: T201
        elif boots:
            print(as_text(boots))  # noqa: T201
        else:
            say("no boot is on record in this database")
        return ExitCode.STOPPED

    return told(environ, cwd, act)


async def _read(place: Place, limit: int) -> tuple[PastBoot, ...]:
    async with session(place) as connection, connection.transaction(readonly=True):
        return await read_boots(connection, limit)


def as_text(boots: Sequence[PastBoot]) -> str:
    """One row a boot, with those of its phases that did something or failed. Pure."""
    header = ("started (UTC)", "host", "supervisor", "directus", "seconds", "result")
    rows: list[tuple[str, ...]] = []
    for boot in boots:
        changed = [phase for phase in boot.phases if phase.outcome not in {"unchanged", "skipped"}]
        result = boot.failure or ("changed" if changed else "unchanged")
        told = f"{result}: {'; '.join(f'{each.name}: {each.summary}' for each in changed)}" if changed else result
        rows.append(
            (
                f"{boot.started_at:%Y-%m-%d %H:%M:%S}",
                boot.host,
                boot.supervisor_version,
                boot.directus_version,
                f"{boot.duration_s:.2f}",
                told,
            )
        )
    return table(header, rows)


def as_document(boots: Sequence[PastBoot]) -> str:
    """The same as JSON, with every phase. Pure."""
    return json.dumps(
        [
            {
                "started_at": boot.started_at.isoformat(),
                "duration_s": boot.duration_s,
                "host": boot.host,
                "supervisor_version": boot.supervisor_version,
                "directus_version": boot.directus_version,
                "failure": boot.failure,
                "phases": [
                    {
                        "name": phase.name,
                        "outcome": phase.outcome,
                        "summary": phase.summary,
                        "duration_s": phase.duration_s,
                    }
                    for phase in boot.phases
                ],
            }
            for boot in boots
        ],
        indent=2,
        ensure_ascii=False,
    )
