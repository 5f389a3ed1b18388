"""Phase 3: Directus' system tables, its first admin and its own migrations."""

from __future__ import annotations

from typing import Final

from supervisor import errors
from supervisor.directus.commands import LEASH, StepResult, run_step
from supervisor.directus.migrations import MigrationState, read_state
from supervisor.directus.strays import end_stray_steps
from supervisor.directus.unfinished import is_unfinished, settle, start_over
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Settled

_INTERRUPTED: Final = (
    "An earlier bootstrap or migration of Directus was interrupted, and Directus cannot undo one: restore the database "
    "as it was before, or, if it holds nothing of value, drop the tables directus_*."
)
_log = get_log("directus")


async def look(boot: Boot) -> Settled | None:
    """See whether Directus' system tables are there, with every migration that the installation has."""
    state = await read_state(boot.connection, boot.configuration)
    if not state.complete or is_unfinished(state, boot.configuration):
        return None
    return Settled(Outcome("unchanged", "no Directus migration is pending"), lambda: _warn_without_admin(state))


async def run(boot: Boot) -> Outcome:
    """Run ``directus bootstrap`` unless the database shows that nothing is pending, and prove its effect there.

    Raises:
        SupervisorError: ``directus.bootstrap_failed``, also when Directus reports success and the database disagrees.
    """
    connection, configuration = boot.connection, boot.configuration
    if (settled := await look(boot)) is not None:
        settled.say()
        return settled.outcome

    await end_stray_steps(connection)
    before = await settle(connection, configuration)
    if is_unfinished(before, configuration):
        dropped = await start_over(connection, configuration.target.main_schema)
        if dropped:
            _log.emit(events.DIRECTUS_STARTED_OVER, tables=list(dropped))
            before = await read_state(connection, configuration)
    if before.complete:
        _warn_without_admin(before)
        return Outcome("unchanged", "no Directus migration is pending")

    node, *rest = configuration.installation.command("bootstrap")
    async with boot.lock.guarding("Directus' bootstrap"):
        result = await run_step(configuration, boot.init, "bootstrap", (node, "--import", LEASH.as_uri(), *rest))

    after = await read_state(connection, configuration)
    if not after.complete or result.status is None or result.status.shell_code:
        raise _failed(before, after, result)
    _warn_without_admin(after)
    count = len(before.pending) - len(after.pending)
    return Outcome("changed", f"{'updated' if before.installed else 'installed'}, {count} Directus migrations")


def _failed(before: MigrationState, after: MigrationState, result: StepResult) -> SupervisorError:
    if after.complete:
        message = f"Directus' bootstrap {result.account}"
    elif after.installed:
        message = f"After Directus' bootstrap {len(after.pending)} migrations are pending; it {result.account}"
    else:
        message = f"After Directus' bootstrap its system tables do not exist; it {result.account}"
    return SupervisorError(
        errors.BOOTSTRAP_FAILED,
        message,
        # A first bootstrap that fails is begun anew by the next boot; what was there before it is not.
        remedy=_INTERRUPTED if before.begun and not after.complete else None,
        **result.facts,
        pending=list(after.pending[:10]),
    )


def _warn_without_admin(state: MigrationState) -> None:
    if state.users == 0:
        _log.emit(
            events.DIRECTUS_NO_ADMIN,
            remedy="Run `node cli.js users create --email … --password … --role …`; ADMIN_EMAIL and ADMIN_PASSWORD "
            "are only read by the very first bootstrap.",
        )
