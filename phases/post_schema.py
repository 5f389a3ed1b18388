"""Phase 5: the SQL files for what a snapshot cannot hold, on the tables that it has made."""

from __future__ import annotations

from phases import sql_files
from supervisor.phase import Boot, Outcome, Settled


async def look(boot: Boot) -> Settled | None:
    """See whether any file of ``post-schema/`` is to run.

    Raises:
        SupervisorError: whatever planning them raises.
    """
    return sql_files.settled(await sql_files.plan(boot, boot.sql.post_schema), boot.sql.post_schema)


async def run(boot: Boot) -> Outcome:
    """Run the files of ``post-schema/`` that have not run, and the repeatable ones that have changed.

    Raises:
        SupervisorError: whatever stops the files.
    """
    return await sql_files.apply(
        boot,
        boot.sql.post_schema,
        lambda relation: f"Create {relation!r} in an earlier SQL file, or add it to the snapshot.",
    )
