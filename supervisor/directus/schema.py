"""Applying the schema snapshot through Directus' own code: the conversation with the script inside Node."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from supervisor import errors
from supervisor.concurrency import one_error
from supervisor.configuration import Configuration
from supervisor.directus.commands import StepResult, run_step
from supervisor.directus.diff import Change, Key, read_changes, without_collections, without_keys
from supervisor.directus.fingerprint import fingerprint_query
from supervisor.directus.losses import Link
from supervisor.errors import SupervisorError
from supervisor.process.child import Child

if TYPE_CHECKING:
    from supervisor.process.init import Init

SCRIPT: Final = Path(__file__).with_name("schema.mjs")
STEP: Final = "schema-apply"


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


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """What is not applied: all of some collections, and single objects."""

    collections: frozenset[str] = frozenset()
    objects: frozenset[Key] = frozenset()

    def rest_of(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """The changes that are left."""
        return without_keys(without_collections(changes, self.collections), self.objects)

    def covers(self, kind: str, collection: str, name: str | None = None) -> bool:
        """Whether an object is among it."""
        return collection in self.collections or (kind, collection, name) in self.objects

    @property
    def message(self) -> dict[str, object]:
        """As the script wants it."""
        return {"collections": sorted(self.collections), "objects": [list(key) for key in self.objects]}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What Directus would do.

    Attributes:
        outline: what the snapshot holds.
        changes: what it changes.
        links: the relations of the database and of the snapshot.
    """

    outline: Outline
    changes: tuple[Change, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """The first answer: apply, but for what is left out; with tables to hold there is a second question."""

    leave_out: LeaveOut
    hold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Go:
    """The second answer, when the rows of the held tables cannot change any more."""

    leave_out: LeaveOut
    record: tuple[str, ...] = ()


class Negotiator(Protocol):
    """Decides what is applied; both answers may be None, to apply nothing, or raise, to refuse."""

    async def on_proposal(self, proposal: Proposal) -> Apply | None:
        """What to do with a proposal."""

    async def on_held(self) -> Go | None:
        """What to do now that the tables are held; asked again when Directus starts over."""


@dataclass(slots=True)
class Conversation:
    """What came of talking to the script.

    Attributes:
        proposal: what Directus would do; None when the script did not get that far.
        leave_out: what was left out in the end.
        left: whether it was decided to apply nothing.
        remaining: what Directus still sees as different after the apply; None when nothing was applied.
        sealed: the fingerprint's sum of what enters the diff, as it was while `remaining` was found.
        refusal: why nothing was applied, when that was decided here.
        failure: what the script says went wrong.
    """

    proposal: Proposal | None = None
    leave_out: LeaveOut = LeaveOut()
    left: bool = False
    remaining: tuple[Change, ...] | None = None
    sealed: str | None = None
    refusal: Exception | None = None
    failure: Failed | None = None


async def converse(configuration: Configuration, init: Init, negotiator: Negotiator) -> tuple[Conversation, StepResult]:
    """Let Directus compare the snapshot with the database, decide, and let it apply.

    Args:
        configuration: where everything is.
        init: starts and reaps the process.
        negotiator: decides.

    Returns:
        What was said, and how the process ended.
    """
    talk = Conversation()
    ask, questions = anyio.create_memory_object_stream[tuple[Child, dict[str, Any]]](math.inf)

    def on_message(child: Child, message: object) -> None:
        match message:
            case {"type": "failed", "message": str(text), **rest}:
                talk.failure = Failed(str(rest.get("stage")), text, rest.get("line"), rest.get("column"))
            case {"type": "diff", "snapshot": dict(), "diff": _} | {"type": "held"} if isinstance(message, dict):
                ask.send_nowait((child, message))
            case {"type": "applied", "remaining": remaining, "sealed": str() | None as sealed}:
                talk.remaining, talk.sealed = read_changes(remaining), sealed

    async def answer() -> None:
        async for child, question in questions:
            child.send({**await _answer(talk, question, negotiator), "fingerprint": query})

    query = fingerprint_query(configuration.target)
    node, script = str(configuration.installation.node), str(SCRIPT)
    argv = (node, script, str(configuration.installation.api), str(configuration.settings.snapshot))
    with one_error(), ask, questions:
        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            result = await run_step(configuration, init, STEP, argv, on_message=on_message)
            group.cancel_scope.cancel()
    return talk, result


async def _answer(talk: Conversation, question: dict[str, Any], negotiator: Negotiator) -> dict[str, object]:
    try:
        answer: Apply | Go | None
        if question["type"] == "held":
            answer = await negotiator.on_held()
        else:
            links = tuple(
                Link(item["collection"], item["field"], item["related"], item["alias"]) for item in question["links"]
            )
            talk.proposal = Proposal(Outline.read(question["snapshot"]), read_changes(question["diff"]), links)
            answer = await negotiator.on_proposal(talk.proposal)
    except (SupervisorError, ValueError, KeyError) as error:
        talk.refusal = error
        answer = None
    match answer:
        case Apply(leave_out, hold):
            talk.leave_out = leave_out
            return {"type": "apply", "leaveOut": leave_out.message, "hold": list(hold)}
        case Go(leave_out, record):
            talk.leave_out = leave_out
            return {"type": "go", "leaveOut": leave_out.message, "record": list(record)}
    talk.left = talk.refusal is None
    return {"type": "leave"}


def explain_failure(talk: Conversation, result: StepResult, snapshot: Path) -> SupervisorError:
    """What a conversation that came to no good end becomes."""
    if isinstance(talk.refusal, SupervisorError):
        return talk.refusal
    failure = talk.failure
    if failure is not None and failure.stage == "snapshot":
        place = f"{snapshot}:{failure.line}:{failure.column}" if failure.line else str(snapshot)
        return SupervisorError(errors.SNAPSHOT_INVALID, f"{place}: {failure.message}")
    reason = failure.message if failure is not None else str(talk.refusal or result.account)
    return SupervisorError(errors.SCHEMA_FAILED, f"Applying {snapshot.name} failed: {reason}", **result.facts)
