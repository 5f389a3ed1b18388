"""Applying the schema snapshot through Directus' own code, and proving by the database that it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from supervisor import errors
from supervisor.configuration import Configuration
from supervisor.directus.commands import StepResult, run_step
from supervisor.directus.diff import Change, read_changes
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.process.child import Child
    from supervisor.process.init import Init

SCRIPT: Final = Path(__file__).with_name("schema.mjs")
STEP: Final = "schema-apply"

_TABLES: Final = """
    SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""
_COLUMNS: Final = """
    SELECT c.relname::text AS collection, a.attname::text AS field
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped
"""
_TRACKED: Final = "SELECT collection::text FROM {schema}.directus_collections"
_RELATIONS: Final = (
    "SELECT many_collection::text AS collection, many_field::text AS field FROM {schema}.directus_relations"
)


@dataclass(frozen=True, slots=True)
class Outline:
    """What the snapshot holds, by name; `tables` and `columns` are what must exist in the database itself."""

    collections: frozenset[str]
    tables: frozenset[str]
    columns: frozenset[tuple[str, str]]
    relations: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, message: dict[str, Any]) -> Outline:
        """Read the outline that the script sent."""
        return cls(
            frozenset(item["collection"] for item in message["collections"]),
            frozenset(item["collection"] for item in message["collections"] if item["table"]),
            frozenset((item["collection"], item["field"]) for item in message["fields"] if item["column"]),
            frozenset((item["collection"], item["field"]) for item in message["relations"]),
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """What the script says went wrong: while it read the snapshot ("snapshot", with its place) or applied it."""

    stage: str
    message: str
    line: object
    column: object


@dataclass(slots=True)
class Conversation:
    """What came of talking to the script.

    Attributes:
        outline: what the snapshot holds; None when the script did not get that far.
        changes: what the snapshot changes.
        ignored: collections that are left alone.
        remaining: what Directus still sees as different after the apply; None when nothing was applied.
        refusal: why nothing was applied, when that was decided here.
        failure: what the script says went wrong.
    """

    outline: Outline | None = None
    changes: tuple[Change, ...] = ()
    ignored: frozenset[str] = frozenset()
    remaining: tuple[Change, ...] | None = None
    refusal: BaseException | None = None
    failure: Failed | None = None


Decide = Callable[[Outline, tuple[Change, ...]], frozenset[str] | None]


async def converse(configuration: Configuration, init: Init, decide: Decide) -> tuple[Conversation, StepResult]:
    """Let Directus compare the snapshot with the database, decide, and let it apply.

    Args:
        configuration: where everything is.
        init: starts and reaps the process.
        decide: gets what the snapshot holds and changes; answers the collections to leave alone, or None to apply
            nothing; raises to refuse.

    Returns:
        What was said, and how the process ended.
    """
    talk = Conversation()

    def on_message(child: Child, message: object) -> None:
        match message:
            case {"type": "failed", "message": str(text), **rest}:
                talk.failure = Failed(str(rest.get("stage")), text, rest.get("line"), rest.get("column"))
            case {"type": "diff", "snapshot": dict(snapshot), "diff": diff}:
                child.send(_answer(talk, snapshot, diff, decide))
            case {"type": "applied", "remaining": remaining}:
                talk.remaining = read_changes(remaining)

    node, script = str(configuration.installation.node), str(SCRIPT)
    argv = (node, script, str(configuration.installation.api), str(configuration.settings.snapshot))
    result = await run_step(configuration, init, STEP, argv, on_message=on_message)
    return talk, result


def _answer(talk: Conversation, snapshot: dict[str, Any], diff: object, decide: Decide) -> dict[str, object]:
    try:
        talk.outline = Outline.read(snapshot)
        talk.changes = read_changes(diff)
        ignored = decide(talk.outline, talk.changes)
    except (SupervisorError, ValueError, KeyError) as error:
        talk.refusal = error
        return {"type": "leave"}
    if ignored is None:
        return {"type": "leave"}
    talk.ignored = ignored
    return {"type": "apply", "ignore": sorted(ignored)}


async def existing_tables(connection: Connection, schema: str) -> frozenset[str]:
    """Names of the tables and views of a schema."""
    return frozenset(row["name"] for row in await connection.fetch(_TABLES, schema))


async def missing_objects(connection: Connection, schema: str, outline: Outline, ignored: frozenset[str]) -> list[str]:
    """Names of what the snapshot holds and the database does not; the proof that the apply had its effect."""
    quoted = '"' + schema.replace('"', '""') + '"'
    tables = await existing_tables(connection, schema)
    columns = {(row["collection"], row["field"]) for row in await connection.fetch(_COLUMNS, schema)}
    tracked = {row["collection"] for row in await connection.fetch(_TRACKED.format(schema=quoted))}
    rows = await connection.fetch(_RELATIONS.format(schema=quoted))
    relations = {(row["collection"], row["field"]) for row in rows}
    missing = [f"table {name}" for name in sorted(outline.tables - tables)]
    missing += [f"collection {name}" for name in sorted(outline.collections - tracked - ignored)]
    missing += [
        f"column {collection}.{name}"
        for collection, name in sorted(outline.columns - columns)
        if collection not in ignored
    ]
    missing += [
        f"relation {collection}.{name}"
        for collection, name in sorted(outline.relations - relations)
        if collection not in ignored
    ]
    return missing


def explain_failure(talk: Conversation, result: StepResult, snapshot: Path) -> SupervisorError:
    """What a conversation that came to no good end becomes."""
    if isinstance(talk.refusal, SupervisorError):
        return talk.refusal
    failure = talk.failure
    if failure is not None and failure.stage == "snapshot":
        place = f"{snapshot}:{failure.line}:{failure.column}" if failure.line else str(snapshot)
        return SupervisorError(errors.SNAPSHOT_INVALID, f"{place}: {failure.message}")
    reason = failure.message if failure is not None else str(talk.refusal or result.account)
    return SupervisorError(
        errors.SCHEMA_FAILED, f"Applying {snapshot.name} failed: {reason}", last_lines=list(result.last_lines)
    )
