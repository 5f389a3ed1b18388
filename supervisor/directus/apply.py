"""Bringing the database to the snapshot: the look, the decision, the apply, and the proof by the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from supervisor import errors
from supervisor.configuration import Configuration
from supervisor.directus.decision import Decision
from supervisor.directus.diff import names_by_action
from supervisor.directus.proof import existing_columns, existing_tables, missing_objects
from supervisor.directus.schema import Conversation, Proposal, converse, explain_failure
from supervisor.directus.strays import end_stray_steps
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.created_tables import created_tables

if TYPE_CHECKING:
    from supervisor.directus.worker import Worker
    from supervisor.postgres.lock import Lock
    from supervisor.postgres.sqlfile import SqlTree

_log = get_log("schema")


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        result: whether the database is different now; "skipped" when it was only looked at.
        summary: one short sentence.
        complete: whether all of the snapshot is in the database: nothing was left out, no difference remains.
        sealed: the fingerprint's sum in which the remaining differences were found; None when the schema did not hold
            still.
    """

    result: Literal["changed", "unchanged", "skipped"]
    summary: str
    complete: bool
    sealed: str | None = None


async def apply_snapshot(configuration: Configuration, worker: Worker, lock: Lock, sql: SqlTree) -> Applied:
    """Apply the snapshot under the migration lock, and prove by the database that everything in it is there.

    Args:
        configuration: the snapshot, the database, how far the apply may go.
        worker: the process of Directus.
        lock: the held migration lock.
        sql: the SQL files, whose tables are left alone.

    Raises:
        SupervisorError: ``schema.snapshot_invalid``, ``schema.destructive_change``, ``schema.apply_failed``.
    """
    snapshot, schema = configuration.settings.snapshot, configuration.target.main_schema
    connection = lock.connection
    if not worker.started:
        await end_stray_steps(connection)
    owned = created_tables(sql.all, schema)
    tables, columns = await existing_tables(connection, schema), await existing_columns(connection, schema)
    async with Decision(configuration, owned, tables, columns) as decision, lock.guarding("the schema apply"):
        talk, result = await converse(configuration, worker, decision)
        if talk.remaining is None:
            await decision.discard_copies()
    proposal = talk.proposal
    ended_well = result.status is not None and not result.status.shell_code and not talk.failure
    if proposal is None or not ended_well or (talk.remaining is None and not talk.left):
        raise explain_failure(talk, result, snapshot)
    if talk.remaining is None:
        return Applied("skipped", f"{len(proposal.changes)} differences shown, none applied", complete=False)

    missing = await missing_objects(connection, schema, proposal.outline, talk.leave_out)
    if missing:
        raise SupervisorError(
            errors.SCHEMA_FAILED,
            f"Directus reported success, but the database has no {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            missing=missing,
        )
    if talk.remaining:
        _log.emit(events.SCHEMA_RESIDUE, objects=[change.name for change in talk.remaining])
    return _account(talk, proposal, len(decision.left_out))


def _account(talk: Conversation, proposal: Proposal, left_out: int) -> Applied:
    applied = talk.leave_out.rest_of(proposal.changes)
    parts = [f"{len(names)} {word}" for word, names in names_by_action(applied).items() if names]
    if not applied:
        parts = [f"{len(proposal.outline.collections)} collections as in the snapshot"]
    if left_out:
        parts.append(f"{left_out} left out")
    complete = not talk.remaining and not left_out
    return Applied("changed" if applied else "unchanged", ", ".join(parts), complete, talk.sealed)
