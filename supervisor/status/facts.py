"""What a run has done so far, as a fold over its own log events. Pure: the time of an event is handed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from supervisor.lifecycle import State
from supervisor.logs import events
from supervisor.status.incident import Incident, from_event
from supervisor.status.model import BootResult, PhaseState, ProcessState

# A boot may apply thousands of files, and a side process may be renamed by nobody: what is kept is bounded.
KEPT_MIGRATIONS: Final = 200
_KEPT_DETAILS: Final = 20
_NAMED: Final = 6
DIRECTUS: Final = "directus"

Fields = Mapping[str, Any]


@dataclass(slots=True)
class PhaseFacts:
    """One phase; times are Unix seconds."""

    name: str
    state: PhaseState = "waiting"
    outcome: Literal["changed", "unchanged", "skipped"] | None = None
    summary: str | None = None
    started_s: float | None = None
    duration_s: float | None = None
    details: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_DETAILS))


@dataclass(slots=True)
class ProcessFacts:
    """One process that is kept running."""

    name: str
    state: ProcessState = "starting"
    pid: int | None = None
    started_s: float | None = None
    ready_after_s: float | None = None
    restarts: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)


class Facts:
    """Everything that is known of the run; :meth:`take` is told each event in its order."""

    def __init__(self, at_s: float) -> None:
        self.state = State.STARTING
        self.reason = "the supervisor is starting"
        self.since_s = at_s
        self.was_ready = False
        self.boot_result: BootResult = "waiting"
        self.boot_started_s: float | None = None
        self.boot_duration_s: float | None = None
        self.boot_ready_after_s: float | None = None
        self.database: str | None = None
        self.lock_wait_s: float | None = None
        self.phases: dict[str, PhaseFacts] = {}
        self.applied_total = 0
        self.applied: deque[tuple[str, float, float]] = deque(maxlen=KEPT_MIGRATIONS)
        self.pending: dict[str, str] = {}
        self.processes: dict[str, ProcessFacts] = {}
        self.exits: Counter[tuple[str, str]] = Counter()
        self.incidents: Counter[str] = Counter()
        self.last_incident: Incident | None = None

    def take(self, event: str, at_s: float, fields: Fields) -> bool:
        """Learn of one event.

        Args:
            event: its name in the catalogue.
            at_s: when it happened, Unix seconds.
            fields: what it says.

        Returns:
            Whether anything is different now.
        """
        fold = _FOLDS.get(event)
        if fold is None:
            return False
        fold(self, at_s, fields)
        return True

    def _phase(self, fields: Fields) -> PhaseFacts:
        name = str(fields.get("phase", "boot"))
        return self.phases.setdefault(name, PhaseFacts(name))

    def _process(self, fields: Fields) -> ProcessFacts | None:
        return self.processes.get(str(fields["process"]))

    def _moved(self, at_s: float, fields: Fields) -> None:
        self.state, self.reason, self.since_s = State(fields["state"]), str(fields["reason"]), at_s
        if self.state is State.READY and not self.was_ready:
            self.was_ready = True
            if self.boot_started_s is not None:
                self.boot_ready_after_s = at_s - self.boot_started_s

    def _boot_started(self, at_s: float, fields: Fields) -> None:
        self.boot_result, self.boot_started_s, self.database = "running", at_s, str(fields["database"])
        for name in fields.get("phases", ()):
            self.phases.setdefault(name, PhaseFacts(name))

    def _boot_finished(self, _at_s: float, fields: Fields) -> None:
        self.boot_result, self.boot_duration_s = "finished", fields["duration_s"]

    def _phase_started(self, at_s: float, fields: Fields) -> None:
        phase = self._phase(fields)
        phase.state, phase.started_s = "running", at_s

    def _phase_finished(self, at_s: float, fields: Fields) -> None:
        phase = self._phase(fields)
        phase.state, phase.outcome, phase.summary = "finished", fields["outcome"], fields["summary"]
        self._phase_took(phase, at_s, fields["duration_s"])

    def _phase_failed(self, at_s: float, fields: Fields) -> None:
        phase = self._phase(fields)
        phase.state = "failed"
        self._phase_took(phase, at_s, fields["duration_s"])
        self.boot_result = "failed"
        if self.boot_started_s is not None:
            self.boot_duration_s = at_s - self.boot_started_s

    def _phase_took(self, phase: PhaseFacts, at_s: float, duration_s: float) -> None:
        phase.duration_s = duration_s
        if phase.started_s is None:
            phase.started_s = at_s - duration_s

    def _postgres_waiting(self, _at_s: float, fields: Fields) -> None:
        details = self._phase(fields).details
        details.clear()
        details.append(f"try {fields['attempt']}: {fields['cause']}")

    def _postgres_answered(self, _at_s: float, fields: Fields) -> None:
        self._phase(fields).details.clear()

    def _lock_waited(self, _at_s: float, fields: Fields) -> None:
        self.lock_wait_s = fields["waited_s"]

    def _sql_applied(self, at_s: float, fields: Fields) -> None:
        file, duration_s = str(fields["file"]), float(fields["duration_s"])
        self.applied_total += 1
        self.applied.append((file, at_s, duration_s))
        self.pending.pop(file, None)
        self._phase(fields).details.append(f"{file} applied in {duration_s:g} s")

    def _sql_pending(self, _at_s: float, fields: Fields) -> None:
        file, extension = str(fields["file"]), str(fields["extension"])
        self.pending[file] = extension
        self._phase(fields).details.append(f"{file} waits for the extension {extension}")

    def _schema_plan(self, _at_s: float, fields: Fields) -> None:
        details = self._phase(fields).details
        for kind in ("created", "changed", "deleted"):
            if names := fields.get(kind):
                details.append(f"{kind}: {_listed(names)}")

    def _process_started(self, at_s: float, fields: Fields) -> None:
        name = str(fields["process"])
        process = self.processes.setdefault(name, ProcessFacts(name))
        # What has no readiness is never said to be ready.
        process.state = "starting" if name == DIRECTUS else "running"
        process.pid, process.started_s, process.ready_after_s = fields["pid"], at_s, None

    def _process_ready(self, _at_s: float, fields: Fields) -> None:
        if (process := self._process(fields)) is not None:
            process.state, process.ready_after_s = "ready", fields["after_s"]

    def _process_stopping(self, _at_s: float, fields: Fields) -> None:
        if (process := self._process(fields)) is not None:
            process.state = "stopping"

    def _process_exited(self, _at_s: float, fields: Fields) -> None:
        name = str(fields["process"])
        status = str(fields["signal"] if "signal" in fields else fields["exit_code"])
        self.exits[name, status] += 1
        if (process := self._process(fields)) is None:
            return
        process.exits[status] += 1
        process.state, process.pid, process.started_s = "ended", None, None

    def _process_restarting(self, _at_s: float, fields: Fields) -> None:
        name = str(fields["process"])
        process = self.processes.setdefault(name, ProcessFacts(name))
        process.state = "restarting"
        process.restarts[str(fields["cause"])] += 1

    def _process_given_up(self, _at_s: float, fields: Fields) -> None:
        if (process := self._process(fields)) is not None:
            process.state = "given_up"

    def _incident(self, at_s: float, fields: Fields) -> None:
        incident = from_event(at_s, fields)
        self.incidents[incident.code] += 1
        self.last_incident = incident


def _listed(names: Sequence[object]) -> str:
    shown = ", ".join(map(str, names[:_NAMED]))
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


_FOLDS: Final[dict[str, Callable[[Facts, float, Fields], None]]] = {
    events.STATE_CHANGED.name: Facts._moved,
    events.BOOT_STARTED.name: Facts._boot_started,
    events.BOOT_FINISHED.name: Facts._boot_finished,
    events.PHASE_STARTED.name: Facts._phase_started,
    events.PHASE_FINISHED.name: Facts._phase_finished,
    events.PHASE_FAILED.name: Facts._phase_failed,
    events.POSTGRES_WAITING.name: Facts._postgres_waiting,
    events.POSTGRES_ANSWERED.name: Facts._postgres_answered,
    events.LOCK_WAITING.name: Facts._lock_waited,
    events.LOCK_ACQUIRED.name: Facts._lock_waited,
    events.SQL_APPLIED.name: Facts._sql_applied,
    events.SQL_PENDING.name: Facts._sql_pending,
    events.SCHEMA_PLAN.name: Facts._schema_plan,
    events.PROCESS_STARTED.name: Facts._process_started,
    events.PROCESS_READY.name: Facts._process_ready,
    events.PROCESS_STOPPING.name: Facts._process_stopping,
    events.PROCESS_EXITED.name: Facts._process_exited,
    events.PROCESS_RESTARTING.name: Facts._process_restarting,
    events.PROCESS_GIVEN_UP.name: Facts._process_given_up,
    events.INCIDENT.name: Facts._incident,
}
