"""structlog, set up: one stream, one shape, every line with its timestamp, level, event, component and boot id."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from supervisor.logs.events import LEVELS, LIBRARY_LINE, LINES_DROPPED, PROCESS_OUTPUT, Event
from supervisor.logs.lean import structlog
from supervisor.logs.levels import Levels, parse
from supervisor.logs.redact import Redactor
from supervisor.logs.render import Renderer, console_renderer, to_json, to_logfmt
from supervisor.logs.sink import LineSink

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_STALLED_S: Final = 1.0
_LONGEST_FLUSH_S: Final = 5.0
# Words of our own; masking them for a password that is the same word would tell the password.
_OWN: Final = frozenset({"process", "stream", "phase"})


class Log(structlog.BoundLoggerBase):
    """A logger that takes events of the catalogue, so that no event goes undocumented."""

    def emit(self, event: Event, /, level: str | None = None, **fields: Any) -> None:  # noqa: ANN401 - any field
        """Log one event.

        Args:
            event: the catalogue entry; it gives name and level.
            level: replaces the entry's level, for lines whose level somebody else decided.
            fields: what this occurrence adds.
        """
        if strict and (unknown := event.undeclared(name for name in fields if name != "exc_info")):
            raise TypeError(f"{event.name} has no field {', '.join(unknown)} in the catalogue")
        severity = level or event.level
        if _witnesses:
            told = {**structlog.contextvars.get_contextvars(), **fields}
            for witness in _witnesses:
                witness.happened(event.name, told)
        if LEVELS[severity] >= _levels.threshold(self._context["component"]):
            with _lock:
                self._proxy_to_logger(severity, event.name, **fields)

    def bind(self, **fields: object) -> Log:
        """A logger that adds `fields` to every line."""
        return super().bind(**fields)


@dataclass(frozen=True, slots=True)
class Written:
    """Lines that went to the log together.

    Attributes:
        process: that they are of; empty where it is none.
        stream: of the process, when they are its own words; None for events of ours.
        levels: of each line.
        texts: each line as JSON, secrets masked.
        size_bytes: of all of them as they were written.
    """

    process: str
    stream: str | None
    levels: Sequence[str]
    texts: Sequence[bytes]
    size_bytes: int


class Witness(Protocol):
    """Who hears the log; its methods must not raise."""

    def happened(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event, whether its level lets it into the log or not; of the lines of processes see `written`."""

    def written(self, lines: Written) -> None:
        """Lines that go to the log."""


boot_id: Final = uuid.uuid4().hex[:12]
redactor: Final = Redactor()
sink: Final = LineSink(1)
# Tests turn it on: a field that the catalogue does not know is an error then, and never in production.
strict = False
# Numbers and order of the lines are one thing, also when a thread of a library has something to say.
_lock: Final = threading.RLock()
_seq = 0
_told_dropped = 0
# The latest second, spelled out: that costs more than all the rest of a timestamp.
_second = (0, b"")
_levels = Levels()
_witnesses: tuple[Witness, ...] = ()
# None for JSON, which costs nothing more than what the witnesses get.
_render_text: Renderer | None = None


def set_up(log_format: str, log_level: str) -> None:
    """Make every logger write.

    Args:
        log_format: "json", "console", "logfmt", or "auto": console on a terminal and JSON elsewhere.
        log_level: as :func:`supervisor.logs.levels.parse` reads it.
    """
    global _levels, _render_text  # noqa: PLW0603 - read on every line, a module global is the cheapest place
    _levels = parse(log_level)
    is_terminal = _is_terminal()
    if log_format == "console" or (log_format == "auto" and is_terminal):
        _render_text = console_renderer(is_terminal=is_terminal)
    else:
        _render_text = to_logfmt if log_format == "logfmt" else None
    _adopt_standard_logging()


def level() -> str:
    """The level from which on lines are written, but for the components that have one of their own."""
    return _levels.general


def levels() -> dict[str, str]:
    """The level of each component that has one of its own."""
    return dict(_levels.of)


def threshold(component: str) -> int:
    """The number in `LEVELS` from which on lines of a component are written."""
    return _levels.threshold(component)


def set_level(name: str, component: str | None = None) -> None:
    """Write lines from this level on: those of one component, or all of them, whatever level each had.

    Raises:
        ValueError: there is no such level or component.
    """
    _levels.put(name, component)


@contextmanager
def heard_by(witness: Witness) -> Iterator[None]:
    """Tell a witness of everything that is logged for the duration of the context; there may be several."""
    global _witnesses  # noqa: PLW0603 - as in `set_up`
    _witnesses = (*_witnesses, witness)
    try:
        yield
    finally:
        _witnesses = tuple(one for one in _witnesses if one is not witness)


def get_log(component: str) -> Log:
    """The logger of one component."""
    return Log(_Writer(), _PROCESSORS, {"component": component})


def write_lines(
    component: str,
    pid: int,
    context: Mapping[str, object],
    levels: Sequence[str],
    bodies: Sequence[bytes],
    *,
    around: tuple[bytes, bytes] = (b"", b""),
) -> None:
    """Write lines of a process, which `supervisor.logs.lines` has made ready.

    Args:
        component: whose they are.
        pid: of the process.
        context: the fields that are the same for all; ``process`` and ``stream`` are among them.
        levels: of each line.
        bodies: the rest of each line's record as JSON, from the first name of a field on, secrets masked.
        around: what stands before and after each of the bodies.
    """
    global _seq  # noqa: PLW0603 - as in `set_up`
    stamp = _now()
    heads = {
        level: b'{"timestamp":"%b%b' % (stamp, _head(level, PROCESS_OUTPUT.name, component)) for level in set(levels)
    }
    before, after = around
    middle = b',"pid":%d,%b,%b' % (pid, to_json(context)[1:-1], before)
    with _lock:
        texts = [
            b"%b%d%b%b%b" % (heads[level], seq, middle, body, after)
            for seq, level, body in zip(count(_seq + 1), levels, bodies)
        ]
        _seq += len(texts)
        _write(str(context["process"]), str(context["stream"]), levels, texts)


def _write(process: str, stream: str | None, levels: Sequence[str], texts: Sequence[bytes]) -> None:
    """Hand rendered lines to the stream and to who hears them; the lock is held."""
    global _seq  # noqa: PLW0603 - as in `set_up`
    shown = texts if _render_text is None else [_render_text(json.loads(text)) for text in texts]
    data = b"\n".join(shown) + b"\n"
    if not sink.write(data, len(texts)) and not sink.closed:
        # What is written has no gaps; of what was not, `log.lines_dropped` tells.
        _seq -= len(texts)
    if _witnesses:
        written = Written(process, stream, levels, texts, len(data))
        for witness in _witnesses:
            witness.written(written)


def close() -> None:
    """Write what is still queued; gives up on a stalled stream after a second, on a slow one after five."""
    if sink.flush(_STALLED_S, _LONGEST_FLUSH_S) and _tell_dropped():
        sink.flush(_STALLED_S)


def _tell_dropped() -> bool:
    """Say how many lines were not taken, if there are any of which that was not said."""
    global _told_dropped  # noqa: PLW0603 - as in `set_up`
    with _lock:
        lines = sink.dropped_lines - _told_dropped
        if lines <= 0 or sink.closed:
            return False
        _told_dropped += lines
        get_log("supervisor").emit(LINES_DROPPED, lines=lines)
    return True


sink.on_room = _tell_dropped


def _is_terminal() -> bool:
    try:
        return os.isatty(1)
    except OSError:
        return False


def _now() -> bytes:
    global _second  # noqa: PLW0603 - as in `set_up`
    now_ms = time.time_ns() // 1_000_000
    seconds = now_ms // 1000
    known, text = _second
    if known != seconds:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode()
        _second = (seconds, text)
    return b"%b%03dZ" % (text, now_ms - seconds * 1000)


@cache
def _head(level: str, event: str, component: str) -> bytes:
    """What stands between the timestamp and the sequence number: words of our own, few and always the same."""
    words = {"level": level, "event": event, "component": component, "boot_id": boot_id}
    return b'",%b,"seq":' % to_json(words)[1:-1]


def _render(logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[str, str, bytes], dict[str, Any]]:
    """The last processor: stamps, renders, and masks secrets where the rendered fields show that there may be any."""
    global _seq  # noqa: PLW0603 - as in `set_up`
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    head = _head(method, event.pop("event"), event.pop("component"))
    pid = event.pop("pid", None) or os.getpid()
    process = str(event.get("process", ""))
    fields = to_json(event)
    if redactor.may_concern(fields):
        fields = to_json({name: value if name in _OWN else redactor.value(value) for name, value in event.items()})
    _seq += 1
    rest = b"," + fields[1:] if event else b"}"
    return (method, process, b'{"timestamp":"%b%b%d,"pid":%d%b' % (_now(), head, _seq, pid, rest)), {}


class _Writer:
    """What structlog hands the rendered line to."""

    def msg(self, level: str, process: str, text: bytes) -> None:
        _write(process, None, (level,), (text,))

    debug = info = warning = error = critical = msg


_PROCESSORS: Final = (structlog.contextvars.merge_contextvars, _render)


class _ForwardToStructlog(logging.Handler):
    """Gives the lines of libraries (uvicorn, asyncio) the shape of our own."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's wrong format arguments must not end what it was doing
            message = f"{record.msg} {record.args}"
        fields: dict[str, object] = {"message": message, "logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        get_log("library").emit(LIBRARY_LINE, level=level if level in LEVELS else "error", **fields)


def _adopt_standard_logging() -> None:
    root = logging.getLogger()
    root.handlers = [_ForwardToStructlog()]
    root.setLevel(logging.WARNING)
