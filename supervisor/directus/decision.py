"""Deciding on what Directus would do: the mode, what would be lost, the approval, and the copy that goes first."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from asyncpg import InterfaceError, PostgresError

from supervisor import errors
from supervisor.directus.approval import approvals_used, digest_of, recording
from supervisor.directus.backup import Occasion, back_up, require_folder
from supervisor.directus.diff import Change, names_by_action, outermost
from supervisor.directus.evidence import find_losses, tables_in_question
from supervisor.directus.losses import Loss, Verdict, judge, may_lose, with_dependants
from supervisor.directus.schema import Apply, Go, LeaveOut, Proposal
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import connect, connection_lost, lost

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.connect import Connection

_CONNECT_S: Final = 10.0
_log = get_log("schema")


class Decision(AsyncExitStack):
    """The negotiator of one schema apply; leaving the context ends its session.

    Args:
        configuration: the mode, the approval, the backup folder, the database.
        owned: tables and views that SQL files make.
        tables: tables and views that are there.
        columns: columns that are there, by table and name.
    """

    def __init__(
        self,
        configuration: Configuration,
        owned: frozenset[str],
        tables: frozenset[str],
        columns: frozenset[tuple[str, str]],
    ) -> None:
        super().__init__()
        self._configuration = configuration
        self._settings = configuration.settings
        self._schema = configuration.target.main_schema
        self._owned = owned
        self._tables = tables
        self._columns = columns
        self._session: Connection | None = None
        self._proposal: Proposal | None = None
        self._ghosts = LeaveOut()
        self._copies: list[Path] = []
        self._approvals_before = 0
        self.left_out: tuple[Loss, ...] = ()

    async def on_proposal(self, proposal: Proposal) -> Apply | None:
        """Look at what it would lose, and decide; see :func:`supervisor.directus.losses.judge`.

        Raises:
            SupervisorError: ``schema.destructive_change``, ``schema.backup_failed``.
        """
        self._proposal = proposal
        self._ghosts = ghosts(proposal.changes, self._owned, self._tables, self._columns)
        wanted = self._ghosts.rest_of(proposal.changes)
        losses, verdict, digest = await self._look(wanted)
        self._tell_ghosts()
        if verdict.action == "show":
            told: dict[str, Any] = {"losses": [loss.sentence for loss in losses], "digest": digest or None}
            _log.emit(events.SCHEMA_PLAN, mode="plan", **names_by_action(outermost(wanted)), **told)
            return None
        leave_out = self._leave_out(verdict.left_out)
        if verdict.lost and self._folder_needed():
            require_folder(self._settings.backup_dir)
        self._tell_left_out(verdict.left_out)
        changes = leave_out.rest_of(proposal.changes)
        if changes:
            _log.emit(events.SCHEMA_PLAN, **names_by_action(outermost(changes)))
        hold = await tables_in_question(await self._connection(), self._schema, changes) if _asks(changes) else ()
        return Apply(leave_out, hold)

    async def on_held(self) -> Go | None:
        """Look again, now that no row can come or go, and copy out what is given up.

        Raises:
            SupervisorError: ``schema.destructive_change`` when rows came in between, ``schema.backup_failed``.
        """
        assert self._proposal is not None  # noqa: S101 - the proposal comes first
        wanted = self._leave_out(self.left_out).rest_of(self._proposal.changes)
        _losses, verdict, digest = await self._look(wanted)
        if verdict.left_out:
            self._tell_left_out((*self.left_out, *verdict.left_out))
        record: list[str] = []
        if verdict.lost:
            backup = None
            connection = await self._connection()
            if self._settings.backup_dir is not None:
                occasion = Occasion.of(self._configuration, digest)
                backup = await back_up(connection, self._settings.backup_dir, verdict.lost, self._schema, occasion)
                self._copies.append(backup)
            _log.emit(
                events.SCHEMA_LOSS,
                losses=[loss.sentence for loss in verdict.lost],
                digest=digest,
                backup=str(backup) if backup else None,
            )
            if self._settings.schema_mode != "force":
                self._approvals_before = await approvals_used(connection)
                record = await recording(connection, digest)
        return Go(self._leave_out(self.left_out), tuple(record))

    async def discard_copies(self) -> None:
        """Remove what was copied out for an approved apply that was rolled back: each further boot would add to it.

        Whether it was rolled back is told by the record of the approval; without one the copies stay.
        """
        if self._copies and self._settings.schema_mode != "force":
            connection = await self._connection()
            with suppress(PostgresError, InterfaceError):
                if await approvals_used(connection) == self._approvals_before:
                    for copy in self._copies:
                        await to_thread.run_sync(partial(shutil.rmtree, copy, ignore_errors=True))

    async def _look(self, changes: tuple[Change, ...]) -> tuple[tuple[Loss, ...], Verdict, str]:
        if not _asks(changes):
            return (), judge(self._settings.schema_mode, (), approved=False), ""
        connection = await self._connection()
        try:
            losses = await find_losses(connection, self._schema, changes)
            digest = await digest_of(connection, losses) if any(not loss.blocked for loss in losses) else ""
        except (PostgresError, InterfaceError) as error:
            raise _unreadable(error) from error
        approved = bool(digest) and self._settings.approve_plan == digest
        verdict = judge(self._settings.schema_mode, losses, approved=approved)
        if verdict.action == "refuse":
            raise refusal(losses, digest, self._settings.approve_plan)
        return losses, verdict, digest

    async def _connection(self) -> Connection:
        # The session of the migration lock is watched by a heartbeat, which nothing else may come between.
        if self._session is None:
            try:
                self._session = await connect(self._configuration.target, _CONNECT_S)
            except OSError as error:
                raise connection_lost("the look at what the snapshot would lose", error) from error
            self.callback(self._session.terminate)
        return self._session

    def _folder_needed(self) -> bool:
        return self._settings.schema_mode != "force" or self._settings.backup_dir is not None

    def _leave_out(self, losses: tuple[Loss, ...]) -> LeaveOut:
        links = self._proposal.links if self._proposal else ()
        return LeaveOut(self._ghosts.collections, self._ghosts.objects | with_dependants(losses, links))

    def _tell_ghosts(self) -> None:
        names = [f"{collection}.{name}" for _, collection, name in self._ghosts.objects]
        if found := sorted([*self._ghosts.collections, *names]):
            _log.emit(events.SCHEMA_GHOSTS, collections=found)

    def _tell_left_out(self, losses: tuple[Loss, ...]) -> None:
        if losses:
            _log.emit(events.SCHEMA_LEFT_OUT, losses=[loss.sentence for loss in losses])
        self.left_out = losses


def _asks(changes: tuple[Change, ...]) -> bool:
    return any(map(may_lose, changes))


def _unreadable(error: Exception) -> SupervisorError:
    if lost(error):
        return connection_lost("the look at what the snapshot would lose", error)
    return SupervisorError(
        errors.SCHEMA_FAILED,
        f"What the snapshot would lose cannot be counted: {str(error).splitlines()[0]}",
        remedy="Give DB_USER the right to read the tables of Directus.",
    )


def ghosts(
    changes: tuple[Change, ...],
    owned: frozenset[str],
    tables: frozenset[str],
    columns: frozenset[tuple[str, str]],
) -> LeaveOut:
    """What SQL files own: their tables, other tables that are there already, and columns that are. Pure."""
    deleted = {change.key for change in changes if change.action == "delete"}
    created = [change for change in changes if change.action == "create" and change.key not in deleted]
    collections = {change.collection for change in changes if change.collection in owned}
    collections |= {
        change.collection for change in created if change.kind == "collection" and change.collection in tables
    }
    objects = {
        change.key
        for change in created
        if change.kind == "field"
        and (change.after or {}).get("schema")
        and change.collection not in collections
        and (change.collection, change.field) in columns
    }
    return LeaveOut(frozenset(collections), frozenset(objects))


def refusal(losses: tuple[Loss, ...], digest: str, approved: str) -> SupervisorError:
    """The refusal of a plan: what would be lost, what is in the way, and how to go on. Pure.

    Args:
        losses: what would be lost, and what is in the way.
        digest: of what would be lost; empty when nothing would.
        approved: what ``SUPERVISOR_APPROVE_PLAN`` says.
    """
    lossy = [loss.sentence for loss in losses if not loss.blocked]
    blocked = [loss.sentence for loss in losses if loss.blocked]
    parts = []
    if lossy:
        parts.append(f"it would lose {', '.join(lossy)}")
    if blocked:
        parts.append(f"the rows that are there stand in the way of {', '.join(blocked)}")
    if approved and digest and approved != digest:
        parts.append(f"SUPERVISOR_APPROVE_PLAN is {approved}, which is not this plan")
    remedy = "Export a new snapshot from the live database"
    if blocked:
        remedy += ", or mend the rows"
    if lossy:
        remedy += (
            f"; or approve exactly this loss, once: SUPERVISOR_APPROVE_PLAN={digest} "
            "(SUPERVISOR_BACKUP_DIR gets a copy first)"
        )
    return SupervisorError(
        errors.SCHEMA_DESTRUCTIVE,
        f"The snapshot was not applied: {'; '.join(parts)}; nothing was changed",
        remedy=f"{remedy}.",
        losses=[*lossy, *blocked],
        digest=digest,
    )
