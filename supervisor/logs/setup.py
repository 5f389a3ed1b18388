"""structlog, set up: one stream, one shape, every line with its timestamp, level, event, component and boot id."""

from __future__ import annotations

import json
import logging
import math
import os
import uuid
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from supervisor.logs.events import LEVELS, LIBRARY_LINE, PROCESS_OUTPUT, Event
from supervisor.logs.redact import Redactor
from supervisor.logs.sink import LineSink

_STALLED_S: Final = 1.0
_LONGEST_FLUSH_S: Final = 5.0
# Words of our own; masking them for a password that is the same word would tell the password.
_OWN: Final = frozenset({"timestamp", "level", "event", "component", "boot_id", "process", "stream", "phase"})


class Log(structlog.BoundLoggerBase):
    """A logger that takes events of the catalogue, so that no event goes undocumented."""

    def emit(self, event: Event, /, level: str | None = None, **fields: Any) -> None:  # noqa: ANN401 - any field
        """Log one event.

        Args:
            event: the catalogue entry; it gives name and level.
            level: replaces the entry's level, for lines whose level somebody else decided.
            fields: what this occurrence adds.
        """
        severity = level or event.level
        if event is not PROCESS_OUTPUT:
            for witness in _witnesses:
                witness.happened(event.name, {**structlog.contextvars.get_contextvars(), **fields})
        if LEVELS[severity] >= _threshold:
            self._proxy_to_logger(severity, event.name, **fields)

    def bind(self, **fields: object) -> Log:
        """A logger that adds `fields` to every line."""
        return super().bind(**fields)


class Witness(Protocol):
    """Who hears the log; its methods must not raise."""

    def happened(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event, whether its level lets it into the log or not; of the lines of processes see `written`."""

    def written(self, record: Mapping[str, Any], size_bytes: int, text: str) -> None:
        """A line that goes to the log: its fields, its length as written, and itself as JSON with secrets masked."""


class _SinkLogger:
    """What structlog hands the rendered line to."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink

    def msg(self, line: str) -> None:
        self._sink.write(line.encode("utf-8", "backslashreplace") + b"\n")

    debug = info = warning = error = critical = msg


boot_id: Final = uuid.uuid4().hex[:12]
redactor: Final = Redactor()
sink: Final = LineSink(1)
_threshold = LEVELS["info"]
_witnesses: tuple[Witness, ...] = ()


def set_up(log_format: str, log_level: str) -> None:
    """Make every logger write in `log_format` ("auto", "json" or "console") from `log_level` on."""
    global _threshold  # noqa: PLW0603 - read on every line, a module global is the cheapest place
    _threshold = LEVELS[log_level]
    console = log_format == "console" or (log_format == "auto" and _is_terminal())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _stamp,
            structlog.processors.format_exc_info,
            _Render(_console_renderer() if console else _render_json),
        ],
        wrapper_class=Log,
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging()


def level() -> str:
    """The level from which on lines are written."""
    return next(name for name, number in LEVELS.items() if number == _threshold)


def set_level(name: str) -> None:
    """Write lines from this level on."""
    global _threshold  # noqa: PLW0603 - as in `set_up`
    _threshold = LEVELS[name]


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
    return cast("Log", structlog.get_logger(component=component))


def close() -> None:
    """Write what is still queued; gives up on a stalled stream after a second, on a slow one after five."""
    sink.flush(_STALLED_S, _LONGEST_FLUSH_S)


def _is_terminal() -> bool:
    try:
        return os.isatty(1)
    except OSError:
        return False


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    stamped: EventDict = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": method,
        "event": event.pop("event"),
        "component": event.pop("component", "supervisor"),
        "boot_id": boot_id,
    }
    stamped.update(event)
    return stamped


class _Render:
    """The last processor: renders, and masks secrets where the rendered line shows that there are any."""

    def __init__(self, render: Processor) -> None:
        self._render = render

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        plain = dict(event)
        line = str(self._render(logger, method, event))
        shown = plain
        if redactor.concerns(line):
            shown = {name: value if name in _OWN else redactor.value(value) for name, value in plain.items()}
            line = str(self._render(logger, method, dict(shown)))
        if _witnesses:
            size_bytes = len(line if line.isascii() else line.encode("utf-8", "backslashreplace")) + 1
            text = line if self._render is _render_json else _render_json(logger, method, shown)
            for witness in _witnesses:
                witness.written(plain, size_bytes, text)
        return line


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return _to_json(event)
    except ValueError:
        return _to_json(_finite(event))


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)


def _finite(value: object) -> object:
    """`value` with NaN and the infinities as text, since JSON has no numbers for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _console_renderer() -> Processor:
    colors = _is_terminal() and not os.environ.get("NO_COLOR")
    renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=26, sort_keys=False)

    def render(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
        event.pop("boot_id", None)
        event["timestamp"] = str(event["timestamp"])[11:23]
        message = event.pop("message", None)
        if message is not None:
            event["event"] = f"{event['event']:<26} {message}"
        return str(renderer(logger, method, event))

    return render


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
