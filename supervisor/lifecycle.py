"""The state machine that everything else reads. Pure: no I/O, the clock is handed in.

Probes, logs and exit statuses are all derived from the one state kept here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where the supervisor is in its life."""

    STARTING = "starting"
    MIGRATING = "migrating"
    LAUNCHING = "launching"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.STARTING: frozenset({State.MIGRATING, State.STOPPING, State.FAILED}),
    State.MIGRATING: frozenset({State.LAUNCHING, State.STOPPING, State.FAILED}),
    State.LAUNCHING: frozenset({State.READY, State.RESTARTING, State.STOPPING, State.FAILED}),
    State.READY: frozenset({State.RESTARTING, State.STOPPING, State.FAILED}),
    State.RESTARTING: frozenset({State.LAUNCHING, State.STOPPING, State.FAILED}),
    State.STOPPING: frozenset({State.STOPPED, State.FAILED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}


class IllegalTransitionError(Exception):
    """A move that the table does not allow: a bug of ours.

    Args:
        current: the state that was left.
        wanted: the state that was asked for.
    """

    def __init__(self, current: State, wanted: State) -> None:
        super().__init__(f"the lifecycle cannot go from {current} to {wanted}")


@dataclass(frozen=True, slots=True)
class Readiness:
    """An answer to a probe: whether it passes, and why."""

    ok: bool
    reason: str


class Lifecycle:
    """The state, why it was entered and when; tells its listeners of every move.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._listeners: list[Callable[[State, State, str], None]] = []
        self.state = State.STARTING
        self.reason = "the supervisor is starting"
        self.since_s = clock()
        self.phase: str | None = None
        self.was_ready = False

    def on_move(self, listener: Callable[[State, State, str], None]) -> None:
        """Call `listener(before, after, reason)` after every move."""
        self._listeners.append(listener)

    def advance(self, state: State, reason: str) -> None:
        """Move to `state`.

        Raises:
            IllegalTransitionError: when the table has no such move.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransitionError(self.state, state)
        before, self.state, self.reason, self.since_s = self.state, state, reason, self._clock()
        if state is State.READY:
            self.was_ready = True
        if state is not State.MIGRATING:
            self.phase = None
        for listener in self._listeners:
            listener(before, state, reason)

    @property
    def ending(self) -> bool:
        """Whether the supervisor is on its way out."""
        return self.state in {State.STOPPING, State.STOPPED, State.FAILED}

    def live(self) -> Readiness:
        """Kubernetes' liveness: whoever can ask gets a yes, since it is the event loop that answers.

        Directus being restarted, or Postgres being awaited, is no reason to kill the container.
        """
        return Readiness(ok=True, reason=self._sentence())

    def ready(self) -> Readiness:
        """Kubernetes' readiness: Directus accepts requests and is not about to stop."""
        return Readiness(ok=self.state is State.READY, reason=self._sentence())

    def started(self) -> Readiness:
        """Kubernetes' startup: Directus has been ready once."""
        return Readiness(ok=self.was_ready, reason=self._sentence())

    def _sentence(self) -> str:
        if self.phase is not None:
            return f"phase {self.phase}: {self.reason}"
        return self.reason
