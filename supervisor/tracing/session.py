"""Hears the log and makes a trace of it in a thread of its own: neither boot nor stop waits for a collector."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from supervisor.logs import events, setup
from supervisor.logs.setup import get_log
from supervisor.tracing.wanted import OTLP, wanted_by

_FLUSH_S: Final = 1.0
_MOST_WAITING: Final = 10_000
_QUIET_S: Final = 60.0
_LIBRARIES: Final = ("opentelemetry", "urllib3", "requests")
_MODULES: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
_log = get_log("tracing")


@contextmanager
def traced(environ: Mapping[str, str], **facts: str) -> Iterator[None]:
    """Make a trace of what is logged for the duration of the context, if the environment asks for one.

    Leaving takes a second at the most; what could not be sent until then is lost.

    Args:
        environ: the process environment.
        facts: attributes of the root span.
    """
    wanted = wanted_by(environ)
    if wanted.problem is not None:
        _log.emit(events.CONFIG_WARNING, message=wanted.problem, remedy=wanted.remedy)
    if not wanted.exporters:
        yield
        return
    if not _is_installed(with_otlp=OTLP in wanted.exporters):
        _log.emit(
            events.CONFIG_WARNING,
            message="The environment asks for traces, and the extra [otel] is not installed; there are none.",
            remedy="Install it: `pip install 'directus-supervisor[otel]'`; or set OTEL_SDK_DISABLED=true.",
        )
        yield
        return
    session = _Session(wanted.exporters, environ, facts)
    with setup.heard_by(session):
        try:
            yield
        finally:
            session.close()


def _is_installed(*, with_otlp: bool) -> bool:
    try:
        return all(importlib.util.find_spec(name) for name in _MODULES[: 2 if with_otlp else 1])
    except ModuleNotFoundError:
        return False


class _Session:
    """Takes events in the event loop, and makes spans of them beside it."""

    def __init__(self, exporters: tuple[str, ...], environ: Mapping[str, str], facts: Mapping[str, str]) -> None:
        self._exporters, self._environ, self._facts = exporters, dict(environ), dict(facts)
        self._started_ns = time.time_ns()
        self._queue: queue.SimpleQueue[tuple[str, int, dict[str, Any]] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._broken = False
        # Said before there was a loop to say it in.
        self._unsaid: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()

    def happened(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event; costs an append."""
        if self._loop is None:
            self._find_loop()
        if not self._broken and self._queue.qsize() < _MOST_WAITING:
            self._queue.put((event, time.time_ns(), dict(fields)))

    def _find_loop(self) -> None:
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
            for line in self._unsaid:
                self._loop.call_soon(line)

    def written(self, *_lines: object) -> None:
        """What was written is not of interest, what happened is."""

    def close(self) -> None:
        """Have sent what can be sent within a second."""
        self._queue.put(None)
        self._thread.join(_FLUSH_S)

    def _run(self) -> None:
        try:
            with _heard_libraries(self._say):
                self._trace()
        except Exception as error:  # noqa: BLE001 - what was to be traced goes on
            self._broken = True
            self._say(
                events.CONFIG_WARNING,
                message=f"There are no traces: {type(error).__name__}: {error}",
                remedy="Look at the OTEL_* variables; OTEL_SDK_DISABLED=true turns traces off.",
            )

    def _trace(self) -> None:
        from supervisor.tracing.boot_trace import BootTrace  # noqa: PLC0415 - heavy, and beside the boot
        from supervisor.tracing.export import make_provider, parent_of  # noqa: PLC0415

        attributes = {"service.instance.id": setup.boot_id, "service.version": self._facts.get("version", "")}
        provider = make_provider(self._exporters, attributes, partial(self._say_fields, events.TRACE_SPAN))
        trace = BootTrace(
            provider.get_tracer("directus-supervisor", attributes["service.version"]),
            parent_of(self._environ),
            self._started_ns,
            {**self._facts, "boot_id": setup.boot_id},
        )
        while (taken := self._queue.get()) is not None:
            event, at_ns, fields = taken
            with suppress(KeyError, TypeError, ValueError):
                trace.take(event, at_ns, {name: setup.redactor.value(value) for name, value in fields.items()})
        trace.end(time.time_ns())
        provider.shutdown()

    def _say_fields(self, event: events.Event, fields: Mapping[str, Any]) -> None:
        self._say(event, **fields)

    def _say(self, event: events.Event, **fields: Any) -> None:  # noqa: ANN401 - any field
        """Log a line from the event loop: who hears the log lives there."""
        line = partial(_log.emit, event, **fields)
        if self._loop is None:
            self._unsaid.append(line)
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(line)


class _Quietly(logging.Handler):
    """The lines of libraries, at most one a minute: a collector that cannot be reached is told of at each attempt."""

    def __init__(self, say: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._next_s = 0.0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._left_out += 1
            return
        self._next_s = now_s + _QUIET_S
        with suppress(Exception):
            left_out = {"left_out": self._left_out} if self._left_out else {}
            self._say(events.LIBRARY_LINE, message=record.getMessage(), logger=record.name, **left_out)
        self._left_out = 0


@contextmanager
def _heard_libraries(say: Callable[..., None]) -> Iterator[None]:
    handler = _Quietly(say)
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True
