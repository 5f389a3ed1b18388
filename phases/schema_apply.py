"""Phase 4: the tables that Directus manages, brought to the snapshot without ever dropping what holds data."""

from __future__ import annotations

from supervisor import errors
from supervisor.directus.diff import Change, names_by_action, outermost, without_collections
from supervisor.directus.schema import Outline, converse, existing_tables, explain_failure, missing_objects
from supervisor.directus.snapshot import is_blank
from supervisor.directus.strays import end_stray_steps
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome

_log = get_log("schema")


async def run(boot: Boot) -> Outcome:
    """Apply the snapshot, and prove by the database that everything in it is there.

    Tables that SQL files own are never touched; a snapshot that would delete a collection or a field is refused.

    Raises:
        SupervisorError: ``schema.snapshot_invalid``, ``schema.destructive_change``, ``schema.apply_failed``.
    """
    snapshot, schema = boot.configuration.settings.snapshot, boot.configuration.target.main_schema
    if not snapshot.exists():
        return Outcome("skipped", f"there is no snapshot at {snapshot}")
    if is_blank(snapshot):
        return Outcome("skipped", f"the snapshot {snapshot} is empty")

    await end_stray_steps(boot.connection)
    tables = await existing_tables(boot.connection, schema)

    def decide(_outline: Outline, changes: tuple[Change, ...]) -> frozenset[str] | None:
        ghosts = ghost_collections(changes, tables)
        wanted = without_collections(changes, ghosts)
        refuse_losses(wanted)
        if ghosts:
            _log.emit(events.SCHEMA_GHOSTS, collections=sorted(ghosts))
        if wanted:
            _log.emit(events.SCHEMA_PLAN, **names_by_action(outermost(wanted)))
        return ghosts

    async with boot.lock.guarding("the schema apply"):
        talk, result = await converse(boot.configuration, boot.init, decide)
    if (
        talk.outline is None
        or talk.remaining is None
        or talk.failure
        or result.status is None
        or result.status.shell_code
    ):
        raise explain_failure(talk, result, snapshot)

    missing = await missing_objects(boot.connection, schema, talk.outline, talk.ignored)
    if missing:
        raise SupervisorError(
            errors.SCHEMA_FAILED,
            f"Directus reported success, but the database has no {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            missing=missing,
        )
    if talk.remaining:
        _log.emit(events.SCHEMA_RESIDUE, objects=[change.name for change in talk.remaining])
    applied = without_collections(talk.changes, talk.ignored)
    if not applied:
        return Outcome("unchanged", f"{len(talk.outline.collections)} collections as in the snapshot")
    return Outcome(
        "changed",
        ", ".join(f"{len(names)} {word}" for word, names in names_by_action(applied).items() if names),
    )


def ghost_collections(changes: tuple[Change, ...], tables: frozenset[str]) -> frozenset[str]:
    """Collections that the snapshot would create although their table is there: SQL files own them. Pure."""
    return frozenset(
        change.collection
        for change in changes
        if change.kind == "collection" and change.action == "create" and change.collection in tables
    )


def refuse_losses(changes: tuple[Change, ...]) -> None:
    """Refuse to drop anything that can hold data. Pure.

    Raises:
        SupervisorError: ``schema.destructive_change``, naming all that would be dropped.
    """
    losses = [f"{change.kind} {change.name}" for change in changes if change.drops_data]
    if losses:
        raise SupervisorError(
            errors.SCHEMA_DESTRUCTIVE,
            f"The snapshot would delete {', '.join(losses)} from the database; nothing was changed",
            losses=losses,
        )
