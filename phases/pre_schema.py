"""Phase 2: the SQL files for what Directus does not manage, before its schema exists."""

from __future__ import annotations

from phases import sql_files
from supervisor.directus.snapshot import creator_of
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Settled
from supervisor.postgres.plan import Plan

_log = get_log("migrations")


async def look(boot: Boot) -> Settled | None:
    """See whether any file of ``pre-schema/`` is to run, and check those of both folders as :func:`run` does.

    Raises:
        SupervisorError: whatever planning them raises, such as ``sql.checksum_mismatch``.
    """
    whole = await sql_files.plan(boot, boot.sql.all)
    settled = sql_files.settled(whole, boot.sql.pre_schema)
    if settled is None:
        return None

    def say() -> None:
        _say_orphans(whole)
        settled.say()

    return Settled(settled.outcome, say)


async def run(boot: Boot) -> Outcome:
    """Check every SQL file against its record, then run those of ``pre-schema/`` that are to run.

    The files of both folders are checked here, so that an edited one stops the boot before anything has changed.

    Raises:
        SupervisorError: ``sql.checksum_mismatch``, and whatever stops the files themselves.
    """
    settings = boot.configuration.settings
    whole = await sql_files.plan(boot, boot.sql.all)
    _say_orphans(whole)

    def explain_missing(relation: str) -> str | None:
        creator = creator_of(relation, settings.snapshot)
        if creator is None:
            return None
        return f"Move the file to {settings.sql_dir.name}/post-schema/: {creator} creates {relation!r} later."

    return await sql_files.apply(boot, boot.sql.pre_schema, explain_missing)


def _say_orphans(whole: Plan) -> None:
    if whole.rows_without_file:
        _log.emit(events.SQL_ORPHAN_ROWS, files=list(whole.rows_without_file))
