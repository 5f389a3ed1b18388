"""Phase 5: the SQL files for what a snapshot cannot hold, on the tables that it has made."""

from __future__ import annotations

from supervisor.phase import Boot, Outcome
from supervisor.postgres.migrations import apply_folder


async def run(boot: Boot) -> Outcome:
    """Run the files of ``post-schema/`` that have not run.

    Raises:
        SupervisorError: whatever stops the files.
    """
    settings = boot.configuration.settings
    summary = await apply_folder(
        boot.connection,
        boot.configuration.target.main_schema,
        boot.sql.post_schema,
        optional_extensions=settings.optional_extensions,
        explain_missing=lambda relation: f"Create {relation!r} in an earlier SQL file, or add it to the snapshot.",
    )
    return Outcome("changed" if summary.applied else "unchanged", str(summary))
