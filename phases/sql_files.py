"""What the two phases that run SQL files share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Settled
from supervisor.postgres.apply import Summary, Terms, apply_plan, read_plan
from supervisor.postgres.connect import connect
from supervisor.postgres.failure import ExplainMissing
from supervisor.postgres.plan import Plan, State, refuse
from supervisor.postgres.sqlfile import SqlFile

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

_CONNECT_S: Final = 5.0
_log = get_log("migrations")


async def plan(boot: Boot, files: tuple[SqlFile, ...]) -> Plan:
    """Plan a run over some files.

    Raises:
        SupervisorError: ``sql.checksum_mismatch``, ``sql.extension_missing``, ``sql.invalid_file`` or
            ``sql.guard_table``; nothing was changed.
    """
    configuration = boot.configuration
    planned = await read_plan(
        boot.connection, configuration.target.main_schema, files, configuration.settings.optional_extensions
    )
    refuse(planned)
    return planned


def settled(planned: Plan, files: tuple[SqlFile, ...]) -> Settled | None:
    """That none of the files of one folder is to run; None when one is. Pure.

    Args:
        planned: what is to be done about them, and maybe about others.
        files: the files of the folder.
    """
    names = {file.name for file in files}
    here = [one for one in planned.files if one.file.name in names]
    if any(one.state is State.TO_APPLY for one in here):
        return None
    pending = [one for one in here if one.state is State.PENDING]

    def say() -> None:
        for one in pending:
            _log.emit(events.SQL_PENDING, file=one.file.label, extension=one.missing_extension)

    applied = tuple(one.file.label for one in here if one.state is State.APPLIED)
    summary = Summary((), applied, tuple(one.file.label for one in pending))
    return Settled(Outcome("unchanged", str(summary)), say)


async def apply(boot: Boot, files: tuple[SqlFile, ...], explain_missing: ExplainMissing) -> Outcome:
    """Run those of the files that have not run, and the repeatable ones that have changed.

    Args:
        boot: what the phases share.
        files: the files of one folder.
        explain_missing: asked for the remedy when a file needs a relation that does not exist.

    Raises:
        SupervisorError: whatever stops the files.
    """
    settings, target = boot.configuration.settings, boot.configuration.target

    async def open_session() -> Connection:
        return await connect(target, _CONNECT_S)

    terms = Terms(
        schema=target.main_schema,
        lock_timeout_ms=round(settings.sql_lock_timeout_s * 1000),
        retries=settings.sql_lock_retries,
        open_session=open_session,
        explain_missing=explain_missing,
    )
    summary = await apply_plan(boot.connection, await plan(boot, files), terms)
    return Outcome("changed" if summary.applied else "unchanged", str(summary))
