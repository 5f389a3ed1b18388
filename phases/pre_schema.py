"""Phase 2: the SQL files for what Directus does not manage, before its schema exists."""

from __future__ import annotations

from supervisor.directus.snapshot import creator_of
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome
from supervisor.postgres.guard_table import read_recorded
from supervisor.postgres.migrations import apply_folder, verify_checksums

_log = get_log("migrations")


async def run(boot: Boot) -> Outcome:
    """Check every SQL file against its record, then run those of ``pre-schema/`` that have not run.

    The files of both folders are checked here, so that an edited one stops the boot before anything has changed.

    Raises:
        SupervisorError: ``sql.checksum_mismatch``, and whatever stops the files themselves.
    """
    settings, schema = boot.configuration.settings, boot.configuration.target.main_schema
    recorded = await read_recorded(boot.connection, schema)
    verify_checksums(boot.sql.all, recorded)
    orphans = sorted(set(recorded) - {file.name for file in boot.sql.all})
    if orphans:
        _log.emit(events.SQL_ORPHAN_ROWS, files=orphans)

    def explain_missing(relation: str) -> str | None:
        creator = creator_of(relation, settings.snapshot)
        if creator is None:
            return None
        return f"Move the file to {settings.sql_dir.name}/post-schema/: {creator} creates {relation!r} later."

    summary = await apply_folder(
        boot.connection,
        schema,
        boot.sql.pre_schema,
        optional_extensions=settings.optional_extensions,
        explain_missing=explain_missing,
    )
    return Outcome("changed" if summary.applied else "unchanged", str(summary))
