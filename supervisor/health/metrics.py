"""`/metrics`: the picture in the words of Prometheus, and of OpenMetrics for whoever asks for it.

Names and units follow https://prometheus.io/docs/practices/naming/; labels are bounded. ``docs/metrics.md`` is
generated from :data:`METRICS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from supervisor import __version__
from supervisor.lifecycle import State
from supervisor.logs import setup
from supervisor.status.model import Picture
from supervisor.status.observatory import Observatory

PREFIX: Final = "directus_supervisor_"


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        kind: of Prometheus.
        name: without the prefix, and without ``_total``.
        help: one sentence, as in the exposition.
        labels: names of its labels.
    """

    kind: Literal["gauge", "counter", "info"]
    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """The name of its samples."""
        return PREFIX + self.name + {"gauge": "", "counter": "_total", "info": "_info"}[self.kind]


_ALL: Final = (
    Definition("info", "build", "Versions.", ("version", "directus_version")),
    Definition("gauge", "state", "1 for the state that the supervisor is in, 0 for all others.", ("state",)),
    Definition("gauge", "ready", "Whether the readiness probe passes."),
    Definition("gauge", "start_time_seconds", "When this life of the supervisor began, Unix time."),
    Definition("gauge", "state_since_seconds", "When the present state was entered, Unix time."),
    Definition("counter", "boots", "Boots that finished or failed in this life.", ("result",)),
    Definition("gauge", "boot_duration_seconds", "What all phases of the boot took; so far, while they run."),
    Definition("gauge", "boot_ready_seconds", "From the start of the boot until Directus was ready first."),
    Definition("gauge", "phase_duration_seconds", "What a phase took; so far, while it runs.", ("phase",)),
    Definition("gauge", "phase_changed", "Whether a finished phase changed the database.", ("phase",)),
    Definition("counter", "migrations_applied", "SQL files that this boot applied."),
    Definition("gauge", "migrations_pending", "SQL files that wait for an extension of the server."),
    Definition("gauge", "lock_wait_seconds", "Wait for the migration lock; absent where none was needed."),
    Definition("counter", "restarts", "Restarts by reason.", ("process", "reason")),
    Definition("counter", "exits", "Ends of processes by exit status or signal.", ("process", "status")),
    Definition("gauge", "process_running", "Whether a process that is to run does.", ("process",)),
    Definition("gauge", "process_start_time_seconds", "When a process was started, Unix time.", ("process",)),
    Definition("gauge", "process_memory_bytes", "Resident memory of a process and its descendants.", ("process",)),
    Definition("counter", "process_cpu_seconds", "Processor time of a process and its descendants.", ("process",)),
    Definition("counter", "log_lines", "Lines written to the log, by who spoke.", ("process", "stream")),
    Definition("counter", "log_bytes", "Bytes written to the log, by who spoke.", ("process", "stream")),
    Definition("counter", "log_dropped_lines", "Lines that a stalled or closed stdout could not take."),
    Definition("gauge", "log_stalled", "Whether the log's buffer is full, so that processes have to wait."),
    Definition("gauge", "event_loop_lag_seconds", "By how much the event loop was late at this scrape."),
    Definition("counter", "incidents", "Failures and unasked restarts by code.", ("code",)),
    Definition("gauge", "last_incident_timestamp_seconds", "When the last incident was, Unix time.", ("code",)),
)
METRICS: Final[Mapping[str, Definition]] = {metric.name: metric for metric in _ALL}


class Exposition:
    """Answers scrapes.

    Args:
        observatory: what is told of.
    """

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        # The supervisor's own process_* metrics, as every exporter has them.
        ProcessCollector(registry=self._registry)

    def __call__(self, accept: str) -> tuple[str, bytes]:
        """Content type and body for what a scraper accepts."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Every metric; what prometheus-client asks for."""
        told: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in METRICS}

        def tell(name: str, value: float | None, *labels: str) -> None:
            if value is not None:
                told[name].append((labels, value))

        picture = self._observatory.picture()
        self._tell_run(tell, picture)
        self._tell_processes(tell)
        self._tell_log(tell)
        for metric in METRICS.values():
            yield _family(metric, told[metric.name])

    def _tell_run(self, tell: _Tell, picture: Picture) -> None:
        facts = self._observatory.recorder.facts
        tell("build", 1, __version__, picture.directus_version or "")
        for state in State:
            tell("state", state is facts.state, state.value)
        tell("ready", picture.state.ready)
        tell("start_time_seconds", self._observatory.started_s)
        tell("state_since_seconds", facts.since_s)
        for result in ("finished", "failed"):
            tell("boots", facts.boot_result == result, result)
        tell("boot_duration_seconds", picture.boot.duration_s)
        tell("boot_ready_seconds", picture.boot.ready_after_s)
        for phase in picture.boot.phases:
            tell("phase_duration_seconds", phase.duration_s, phase.name)
            tell("phase_changed", None if phase.outcome is None else phase.outcome == "changed", phase.name)
        tell("migrations_applied", facts.applied_total)
        tell("migrations_pending", len(facts.pending))
        tell("lock_wait_seconds", facts.lock_wait_s)
        for code, count in facts.incidents.items():
            tell("incidents", count, code)
        if facts.last_incident is not None:
            tell("last_incident_timestamp_seconds", facts.last_incident.at_s, facts.last_incident.code)

    def _tell_processes(self, tell: _Tell) -> None:
        facts = self._observatory.recorder.facts
        for process in facts.processes.values():
            tell("process_running", process.pid is not None, process.name)
            tell("process_start_time_seconds", process.started_s, process.name)
            for reason, count in process.restarts.items():
                tell("restarts", count, process.name, reason)
            usage = self._observatory.usage(process.name)
            if usage is not None:
                tell("process_memory_bytes", usage.memory_bytes, process.name)
                tell("process_cpu_seconds", usage.cpu_s, process.name)
        for (name, status), count in facts.exits.items():
            tell("exits", count, name, status)

    def _tell_log(self, tell: _Tell) -> None:
        for (name, stream), written in self._observatory.recorder.streams.items():
            tell("log_lines", written.lines, name, stream)
            tell("log_bytes", written.bytes, name, stream)
        tell("log_dropped_lines", setup.sink.dropped_lines)
        tell("log_stalled", setup.sink.full)
        tell("event_loop_lag_seconds", self._observatory.lag_s)


class _Tell(Protocol):
    def __call__(self, name: str, value: float | None, *labels: str) -> None: ...


def _family(metric: Definition, samples: list[tuple[tuple[str, ...], float]]) -> Metric:
    name = PREFIX + metric.name
    if metric.kind == "info":
        info = InfoMetricFamily(name, metric.help)
        for labels, _ in samples:
            info.add_metric([], dict(zip(metric.labels, labels, strict=True)))
        return info
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
        name, metric.help, labels=metric.labels
    )
    for labels, value in samples:
        family.add_metric(labels, float(value))
    return family
