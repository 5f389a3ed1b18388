"""The events of a boot as spans. Imports OpenTelemetry: loaded only where traces are wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from supervisor.logs import events

Fields = Mapping[str, Any]
_NS: Final = 1_000_000_000
_PREFIX: Final = "directus_supervisor."
_LONGEST: Final = 4000
_MOST_OPEN: Final = 200
_DIRECTUS: Final = "directus"


class BootTrace:
    """One trace: the root span ``boot`` from the start of the process until Directus is ready first, or until the end.

    What comes after it, as a restart, is a span of its own below the root.

    Args:
        tracer: makes the spans.
        parent: what the root is a child of.
        started_ns: when the process was started, Unix nanoseconds.
        facts: attributes of the root.
    """

    def __init__(self, tracer: Tracer, parent: Context, started_ns: int, facts: Fields) -> None:
        self._tracer = tracer
        self._root = tracer.start_span("boot", parent, start_time=started_ns, attributes=_attributes(facts))
        self._below = set_span_in_context(self._root, parent)
        self._phases: dict[str, Span] = {}
        self._launch: Span | None = None
        self._restarts: dict[str, Span] = {}
        self._steps: set[str] = set()
        # A failed phase stays open until the line that tells why has come.
        self._failed: tuple[Span, int] | None = None
        self._told: set[str] = set()
        self._over = False

    def take(self, event: str, at_ns: int, fields: Fields) -> None:
        """Learn of one event of the log.

        Args:
            event: its name.
            at_ns: when it happened, Unix nanoseconds.
            fields: what it says, secrets masked.
        """
        fold = _FOLDS.get(event)
        if fold is not None:
            fold(self, at_ns, fields)
        elif event in NOTED:
            self._current(fields).add_event(event, _attributes(fields), at_ns)

    def end(self, at_ns: int) -> None:
        """Nothing more comes: end what is open."""
        self._end_failed()
        for span in (*self._phases.values(), *self._restarts.values(), self._launch):
            if span is not None:
                span.end(at_ns)
        self._phases.clear()
        self._restarts.clear()
        self._launch = None
        self._end_root(at_ns)

    def _current(self, fields: Fields) -> Span:
        """The span that is concerned: the phase, the launch or the restart that is going on, or the root."""
        if (phase := self._phases.get(str(fields.get("phase")))) is not None:
            return phase
        if self._failed is not None:
            return self._failed[0]
        restart = self._restarts.get(str(fields.get("process", _DIRECTUS)))
        return restart or self._launch or self._root

    def _span(self, name: str, start_ns: int, fields: Fields, within: Span | None = None) -> Span:
        context = self._below if within is None else set_span_in_context(within, self._below)
        return self._tracer.start_span(name, context, start_time=start_ns, attributes=_attributes(fields))

    def _found_directus(self, _at_ns: int, fields: Fields) -> None:
        self._root.set_attribute(f"{_PREFIX}directus.version", str(fields["version"]))

    def _boot_started(self, _at_ns: int, fields: Fields) -> None:
        self._root.set_attribute(f"{_PREFIX}database", str(fields["database"]))

    def _postgres_answered(self, _at_ns: int, fields: Fields) -> None:
        self._root.set_attribute(f"{_PREFIX}postgres.version", str(fields["server_version"]))

    def _lock_acquired(self, at_ns: int, fields: Fields) -> None:
        self._span("migration_lock", _before(at_ns, fields["waited_s"]), fields).end(at_ns)

    def _phase_started(self, at_ns: int, fields: Fields) -> None:
        if len(self._phases) < _MOST_OPEN:
            self._phases[str(fields["phase"])] = self._span(f"phase {fields['phase']}", at_ns, fields)

    def _phase_finished(self, at_ns: int, fields: Fields) -> None:
        span = self._ended_phase(at_ns, fields)
        span.set_attributes(_attributes(fields))
        span.end(at_ns)

    def _phase_failed(self, at_ns: int, fields: Fields) -> None:
        self._end_failed()
        span = self._ended_phase(at_ns, fields)
        span.set_status(Status(StatusCode.ERROR))
        self._failed = span, at_ns

    def _ended_phase(self, at_ns: int, fields: Fields) -> Span:
        """The span of a phase; one that only looked whether there is anything to do was never begun."""
        name = str(fields["phase"])
        span = self._phases.pop(name, None)
        return span or self._span(f"phase {name}", _before(at_ns, fields["duration_s"]), fields)

    def _end_failed(self) -> None:
        if self._failed is not None:
            span, at_ns = self._failed
            span.end(at_ns)
            self._failed = None

    def _sql_applied(self, at_ns: int, fields: Fields) -> None:
        within = self._phases.get(str(fields.get("phase")))
        self._span(f"sql {fields['file']}", _before(at_ns, fields["duration_s"]), fields, within).end(at_ns)

    def _step_began(self, _at_ns: int, fields: Fields) -> None:
        if len(self._steps) < _MOST_OPEN:
            self._steps.add(str(fields["step"]))

    def _process_exited(self, at_ns: int, fields: Fields) -> None:
        name = str(fields["process"])
        if name in self._steps:
            within = self._phases.get(str(fields.get("phase")))
            span = self._span(f"process {name}", _before(at_ns, fields.get("uptime_s", 0.0)), fields, within)
            if fields.get("exit_code") != 0:
                span.set_status(Status(StatusCode.ERROR))
            span.end(at_ns)

    def _process_started(self, at_ns: int, fields: Fields) -> None:
        if self._launch is None and not self._over and fields["process"] == _DIRECTUS:
            self._launch = self._span("launch", at_ns, {"process": fields["process"], "pid": fields["pid"]})

    def _process_ready(self, at_ns: int, fields: Fields) -> None:
        name = str(fields["process"])
        restart = self._restarts.pop(name, None)
        if restart is not None:
            restart.end(at_ns)
        if name == _DIRECTUS and self._launch is not None:
            self._launch.set_attributes(_attributes(fields))
            self._launch.end(at_ns)
            self._launch = None

    def _restarting(self, at_ns: int, fields: Fields) -> None:
        name = str(fields["process"])
        if name == _DIRECTUS and not self._over:
            (self._launch or self._root).add_event("process.restarting", _attributes(fields), at_ns)
            return
        earlier = self._restarts.pop(name, None)
        if earlier is not None:
            earlier.end(at_ns)
        if len(self._restarts) < _MOST_OPEN:
            span = self._restarts[name] = self._span(f"restart {name}", at_ns, fields)
            span.set_status(Status(StatusCode.ERROR, str(fields.get("reason", ""))))

    def _moved(self, at_ns: int, fields: Fields) -> None:
        if fields["state"] == "ready":
            self._end_root(at_ns)

    def _end_root(self, at_ns: int) -> None:
        if not self._over:
            self._over = True
            self._root.end(at_ns)

    def _incident(self, at_ns: int, fields: Fields) -> None:
        code, message = str(fields.get("code", "unknown")), str(fields.get("message", ""))
        self._told.add(code)
        span = self._current(fields)
        below: Span | None = None
        if span is self._root and self._over:
            span = below = self._span("incident", at_ns, {"code": code})
        span.add_event("incident", _attributes(fields), at_ns)
        span.set_status(Status(StatusCode.ERROR, message))
        if fields.get("exit_code") is not None and not self._over:
            self._root.set_status(Status(StatusCode.ERROR, f"{code}: {message}"))
            self._root.set_attribute(f"{_PREFIX}code", code)
        if below is not None:
            below.end(at_ns)
        self._end_failed()

    def _supervisor_failed(self, at_ns: int, fields: Fields) -> None:
        if fields.get("code") not in self._told:
            self._incident(at_ns, fields)
        self._root.set_attribute(f"{_PREFIX}exit_code", int(fields.get("exit_code", 1)))

    def _supervisor_stopped(self, _at_ns: int, fields: Fields) -> None:
        status = int(fields.get("exit_code", 0))
        self._root.set_attribute(f"{_PREFIX}exit_code", status)
        if status:
            self._root.set_status(Status(StatusCode.ERROR, f"ended with status {status}"))


def _before(at_ns: int, seconds: Any) -> int:  # noqa: ANN401 - a field of an event
    return at_ns - int(float(seconds) * _NS)


def _attributes(fields: Fields) -> dict[str, str | bool | int | float]:
    """Fields as attributes; what is neither text nor a number is JSON."""
    return {f"{_PREFIX}{name}": _attribute(value) for name, value in fields.items() if value is not None}


def _attribute(value: Any) -> str | bool | int | float:  # noqa: ANN401 - a field of an event
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # What is an enumeration is a plain number to a collector.
        return int(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_LONGEST]


# What is an event within the span that it concerns.
NOTED: Final = frozenset(
    event.name
    for event in (
        events.CONFIG_WARNING,
        events.POSTGRES_WAITING,
        events.LOCK_WAITING,
        events.SQL_RETRYING,
        events.SQL_WAITING,
        events.SQL_PENDING,
        events.SCHEMA_PLAN,
        events.SCHEMA_LOSS,
        events.BACKUP_WRITTEN,
        events.SIGNAL_RECEIVED,
    )
)
_FOLDS: Final[dict[str, Callable[[BootTrace, int, Fields], None]]] = {
    events.DIRECTUS_FOUND.name: BootTrace._found_directus,
    events.BOOT_STARTED.name: BootTrace._boot_started,
    events.POSTGRES_ANSWERED.name: BootTrace._postgres_answered,
    events.LOCK_ACQUIRED.name: BootTrace._lock_acquired,
    events.PHASE_STARTED.name: BootTrace._phase_started,
    events.PHASE_FINISHED.name: BootTrace._phase_finished,
    events.PHASE_FAILED.name: BootTrace._phase_failed,
    events.SQL_APPLIED.name: BootTrace._sql_applied,
    events.DIRECTUS_STEP.name: BootTrace._step_began,
    events.STEP_STARTED.name: BootTrace._step_began,
    events.PROCESS_EXITED.name: BootTrace._process_exited,
    events.PROCESS_STARTED.name: BootTrace._process_started,
    events.PROCESS_READY.name: BootTrace._process_ready,
    events.PROCESS_RESTARTING.name: BootTrace._restarting,
    events.STATE_CHANGED.name: BootTrace._moved,
    events.INCIDENT.name: BootTrace._incident,
    events.SUPERVISOR_FAILED.name: BootTrace._supervisor_failed,
    events.SUPERVISOR_STOPPED.name: BootTrace._supervisor_stopped,
}
