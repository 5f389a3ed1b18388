"""The picture, made when somebody asks: facts of the run, looks at its processes, secrets masked."""

from __future__ import annotations

import json
import os
import platform
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio

from supervisor import __version__
from supervisor.lifecycle import State
from supervisor.logs import setup
from supervisor.logs.timestamp import timestamp_of
from supervisor.status import model
from supervisor.status.facts import PhaseFacts, ProcessFacts
from supervisor.status.recorder import Recorder
from supervisor.status.usage import Usage, own_usage, usage_of

_KEPT_SAMPLES: Final = 120
# Two looks that are closer than this are one: several watchers cost no more than one.
_FRESH_S: Final = 0.9
# So often a look in passing is worth its milliseconds.
_IN_PASSING_S: Final = 10.0
_SHOWN_MIGRATIONS: Final = 50
_NAP_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    usage: Usage
    cpu_ratio: float | None


class Observatory:
    """Makes the picture of one run.

    Args:
        recorder: has heard what the run did.
        directus_version: of the installation.
        clock: Unix seconds.
        ready: answers as the probe does, which may know more than the lifecycle.

    Attributes:
        lag_s: by how much the event loop was late when that was last measured.
    """

    def __init__(
        self,
        recorder: Recorder,
        directus_version: str | None,
        clock: Callable[[], float] = time.time,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self._recorder = recorder
        self._directus_version = directus_version
        self._clock = clock
        self._ready = ready or (lambda: recorder.facts.state is State.READY)
        self._started_s = recorder.facts.since_s
        self._looked_s = float("-inf")
        self._samples: dict[str, tuple[int, deque[_Sample]]] = {}
        self.lag_s: float | None = None

    @property
    def recorder(self) -> Recorder:
        """What has heard the run."""
        return self._recorder

    @property
    def started_s(self) -> float:
        """When the run began, Unix seconds."""
        return self._started_s

    def look(self) -> None:
        """Look at the memory and the processor time of every process, unless that was done just now."""
        now = self._clock()
        running = {process.name: process.pid for process in self._recorder.facts.processes.values() if process.pid}
        known_pids = {name: pid for name, (pid, _) in self._samples.items()}
        if now - self._looked_s < _FRESH_S and running == known_pids:
            return
        self._looked_s = now
        usages = usage_of(running.values())
        for name in set(self._samples) - set(running):
            del self._samples[name]
        for name, pid in running.items():
            usage = usages.get(pid)
            if usage is None:
                continue
            known, samples = self._samples.get(name, (pid, deque[_Sample](maxlen=_KEPT_SAMPLES)))
            ratio = None
            if known == pid and samples and now > samples[-1].at_s:
                ratio = max(usage.cpu_s - samples[-1].usage.cpu_s, 0.0) / (now - samples[-1].at_s)
            samples.append(_Sample(now, usage, ratio))
            self._samples[name] = (pid, samples)

    def is_due_in_passing(self) -> bool:
        """Whether somebody who wakes us anyway, such as a probe, should leave a sample for the charts."""
        runs = any(process.pid for process in self._recorder.facts.processes.values())
        return runs and self._clock() - self._looked_s >= _IN_PASSING_S

    async def measure_lag(self) -> None:
        """Measure by how much the event loop is late."""
        began_s = time.monotonic()
        await anyio.sleep(_NAP_S)
        self.lag_s = max(time.monotonic() - began_s - _NAP_S, 0.0)

    def usage(self, process: str) -> Usage | None:
        """What a process used at the last look; None when it does not run."""
        facts = self._recorder.facts.processes.get(process)
        pid, samples = self._samples.get(process, (None, deque[_Sample]()))
        return samples[-1].usage if samples and facts is not None and facts.pid == pid else None

    def picture(self) -> model.Picture:
        """Everything at this moment; looks at the processes."""
        self.look()
        now, facts = self._clock(), self._recorder.facts
        own = own_usage()
        return model.Picture(
            schema_version=model.SCHEMA_VERSION,
            at=timestamp_of(now),
            supervisor=model.SupervisorView(
                version=__version__,
                boot_id=setup.boot_id,
                pid=os.getpid(),
                python=platform.python_version(),
                started_at=timestamp_of(self._started_s),
                uptime_s=_rounded(now - self._started_s),
                memory_bytes=own.memory_bytes,
                cpu_s=_rounded(own.cpu_s),
                loop_lag_s=None if self.lag_s is None else round(self.lag_s, 6),
            ),
            state=model.StateView(
                name=facts.state.value,
                reason=_masked(facts.reason),
                since=timestamp_of(facts.since_s),
                ready=self._ready(),
                started=facts.was_ready,
            ),
            directus_version=self._directus_version,
            boot=self._boot(now),
            migrations=self._migrations(),
            processes=tuple(self._process(process, now) for process in facts.processes.values()),
            log=self._log(),
            last_incident=self._incident(),
            incidents=dict(facts.incidents),
        )

    def _boot(self, now: float) -> model.BootView:
        facts = self._recorder.facts
        started_s, duration_s = facts.boot_started_s, facts.boot_duration_s
        if duration_s is None and started_s is not None:
            duration_s = now - started_s
        return model.BootView(
            result=facts.boot_result,
            database=_masked_or_none(facts.database),
            started_at=_stamp_or_none(started_s),
            duration_s=_rounded_or_none(duration_s),
            lock_wait_s=_rounded_or_none(facts.lock_wait_s),
            ready_after_s=_rounded_or_none(facts.boot_ready_after_s),
            phases=tuple(_phase(phase, started_s, now) for phase in facts.phases.values()),
        )

    def _migrations(self) -> model.MigrationsView:
        facts = self._recorder.facts
        return model.MigrationsView(
            applied_total=facts.applied_total,
            applied=tuple(
                model.MigrationView(file=_masked(file), applied_at=timestamp_of(at_s), duration_s=duration_s)
                for file, at_s, duration_s in list(facts.applied)[-_SHOWN_MIGRATIONS:]
            ),
            pending=tuple(
                model.PendingView(file=_masked(file), extension=_masked(ext)) for file, ext in facts.pending.items()
            ),
        )

    def _process(self, process: ProcessFacts, now: float) -> model.ProcessView:
        usage = self.usage(process.name)
        _, samples = self._samples.get(process.name, (None, deque[_Sample]()))
        return model.ProcessView(
            name=process.name,
            state=process.state,
            pid=process.pid,
            started_at=_stamp_or_none(process.started_s),
            uptime_s=_rounded(now - process.started_s) if process.started_s is not None else None,
            ready_after_s=process.ready_after_s,
            restarts=dict(process.restarts),
            exits=dict(process.exits),
            memory_bytes=usage.memory_bytes if usage else None,
            cpu_s=_rounded(usage.cpu_s) if usage else None,
            history=tuple(
                model.SampleView(
                    at=timestamp_of(sample.at_s),
                    memory_bytes=sample.usage.memory_bytes,
                    cpu_ratio=_rounded_or_none(sample.cpu_ratio),
                )
                for sample in samples
            ),
        )

    def _log(self) -> model.LogView:
        return model.LogView(
            level=setup.level(),
            streams=tuple(
                model.StreamView(process=process, stream=stream, lines=count.lines, bytes=count.bytes)
                for (process, stream), count in self._recorder.streams.items()
            ),
            dropped_lines=setup.sink.dropped_lines,
            stalled=setup.sink.full,
            closed=setup.sink.closed,
        )

    def _incident(self) -> model.IncidentView | None:
        incident = self._recorder.facts.last_incident
        if incident is None:
            return None
        return model.IncidentView(
            at=timestamp_of(incident.at_s),
            code=incident.code,
            message=_masked(incident.message),
            remedy=_masked(incident.remedy),
            process=incident.process,
        )


def as_json(picture: model.Picture) -> str:
    """A picture as one line of JSON."""
    return json.dumps(picture, ensure_ascii=False, separators=(",", ":"), default=_fields)


def _fields(view: Any) -> dict[str, object]:  # noqa: ANN401 - any of the model's classes
    # dataclasses.asdict() copies every leaf, which takes ten times as long.
    return {name: getattr(view, name) for name in view.__slots__}


def _phase(phase: PhaseFacts, boot_started_s: float | None, now: float) -> model.PhaseView:
    duration_s = phase.duration_s
    if duration_s is None and phase.started_s is not None:
        duration_s = now - phase.started_s
    offset_s = None
    if phase.started_s is not None and boot_started_s is not None:
        offset_s = max(phase.started_s - boot_started_s, 0.0)
    return model.PhaseView(
        name=phase.name,
        state=phase.state,
        outcome=phase.outcome,
        summary=_masked_or_none(phase.summary),
        started_at=_stamp_or_none(phase.started_s),
        offset_s=_rounded_or_none(offset_s),
        duration_s=_rounded_or_none(duration_s),
        details=tuple(map(_masked, phase.details)),
    )


def _masked(text: str) -> str:
    return setup.redactor.text(text)


def _masked_or_none(text: str | None) -> str | None:
    return None if text is None else _masked(text)


def _stamp_or_none(at_s: float | None) -> str | None:
    return None if at_s is None else timestamp_of(at_s)


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _rounded_or_none(seconds: float | None) -> float | None:
    return None if seconds is None else _rounded(seconds)
