"""The probes: what an orchestrator asks, answered from memory. Pure.

The meaning is Kubernetes': ``/livez`` failing means "restart me", ``/readyz`` failing means "send me no requests",
``/startupz`` holds the other two back until the first success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from supervisor.lifecycle import Lifecycle, State
from supervisor.settings import Settings

PROBES: Final = ("/livez", "/readyz", "/startupz")
# What every limit below is given on top, for a machine that is slow or was suspended.
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One of the things that a probe looks at.

    Attributes:
        name: short and stable.
        ok: whether it is as it should be.
        reason: half a sentence; it may tell of the inside.
    """

    name: str
    ok: bool
    reason: str


class Probes:
    """Answers the probes of one run.

    Args:
        lifecycle: the state that everything is derived from.
        settings: how long each state may last.
        clock: monotonic seconds.

    Attributes:
        directus_healthy: the last answer of ``/server/health``; None where it is not asked for.
    """

    def __init__(self, lifecycle: Lifecycle, settings: Settings, clock: Callable[[], float]) -> None:
        self._lifecycle = lifecycle
        self._clock = clock
        stop_s = settings.stop_timeout_s
        # Phases are not here: waits and steps have limits of their own, and a SQL file may rightly take hours.
        self._longest_s = {
            State.LAUNCHING: settings.ready_timeout_s + stop_s,
            State.RESTARTING: stop_s + settings.restart_backoff_max_s,
            State.STOPPING: settings.drain_s + 2 * stop_s,
        }
        self.directus_healthy: bool | None = None

    def checks(self, probe: str) -> Sequence[Check]:
        """What one probe looks at; it passes when all of it is as it should be."""
        return {"/livez": self._live, "/readyz": self._ready, "/startupz": self._started}[probe]()

    @property
    def ready(self) -> bool:
        """Whether the readiness probe passes."""
        return all(check.ok for check in self._ready())

    def _live(self) -> tuple[Check, ...]:
        # Directus being restarted, or Postgres being awaited, is no reason to kill the container.
        state = self._lifecycle.state
        lasted_s = self._clock() - self._lifecycle.since_s
        longest_s = self._longest_s.get(state)
        stuck = longest_s is not None and lasted_s > longest_s + _PATIENCE_S
        reason = f"{state} for {lasted_s:.0f} s" + (f", which ends within {longest_s:g} s" if stuck else "")
        return (Check("loop", ok=True, reason="the event loop answers"), Check("progress", ok=not stuck, reason=reason))

    def _ready(self) -> tuple[Check, ...]:
        lifecycle = self._lifecycle
        draining = lifecycle.state in {State.STOPPING, State.STOPPED}
        checks = (
            Check("directus", ok=lifecycle.state is State.READY or draining, reason=self._sentence()),
            Check("not_stopping", ok=not draining, reason=self._sentence()),
            Check("not_failed", ok=lifecycle.state is not State.FAILED, reason=self._sentence()),
        )
        if self.directus_healthy is None:
            return checks
        reason = "/server/health is well" if self.directus_healthy else "/server/health reports an error"
        return (*checks, Check("directus_health", ok=self.directus_healthy, reason=reason))

    def _started(self) -> tuple[Check, ...]:
        return (Check("booted", ok=self._lifecycle.was_ready, reason=self._sentence()),)

    def _sentence(self) -> str:
        lifecycle = self._lifecycle
        return lifecycle.reason if lifecycle.phase is None else f"phase {lifecycle.phase}: {lifecycle.reason}"
