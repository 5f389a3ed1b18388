"""One record of the log as text: JSON, or a line for people."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from supervisor.logs.events import PROCESS_OUTPUT

Record = Mapping[str, Any]
Renderer = Callable[[Record], bytes]

# Of little use to who reads line by line; the pid is, where it is another's.
_FOR_MACHINES: Final = frozenset({"boot_id", "seq", "pid"})
_LONGEST_INLINE: Final = 100
_BARE_WORD: Final = re.compile(r"[^\s=\"\x00-\x1f\x7f]+")
# As deep as orjson goes; whoever walks through deeper data may run out of stack.
DEEPEST: Final = 254
# Enums and dates as `json` has them with `default=str`, so that both write the same.
_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def to_json(value: object) -> bytes:
    """`value` as JSON in UTF-8, whatever it holds: NaN and the infinities become text, as does what JSON has not."""
    try:
        text = orjson.dumps(value, str, _OPTIONS)
    except TypeError:
        # Lone surrogates, numbers beyond 64 bits, keys that are no text, what is very deep.
        return _to_json_slowly(value)
    # Where there is no null there was no NaN.
    return _to_json_slowly(value) if b"null" in text and _holds_nan(value) else text


def deeper_than(levels: int, value: object) -> bool:
    """Whether `value` has more than so many levels of lists and objects."""
    layer = [value]
    for _ in range(levels):
        layer = [
            item
            for outer in layer
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _to_json_slowly(value: object) -> bytes:
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def _holds_nan(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    return isinstance(value, float) and not math.isfinite(value)


def _finite(value: object) -> object:
    """`value` with NaN and the infinities as text, since JSON has no numbers for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def to_logfmt(record: Record) -> bytes:
    """One record as ``name=value`` pairs; what is no plain word is quoted as in JSON, and so are lists and objects."""
    pairs = (f"{_logfmt_name(name)}={_logfmt_value(value)}" for name, value in record.items())
    return " ".join(pairs).encode("utf-8", "backslashreplace")


def _logfmt_name(name: str) -> str:
    return "".join(letter if letter.isprintable() and letter not in ' ="' else "_" for letter in name)


def _logfmt_value(value: object) -> str:
    if isinstance(value, str):
        return value if _BARE_WORD.fullmatch(value) else to_json(value).decode()
    text = to_json(value).decode()
    return to_json(text).decode() if isinstance(value, dict | list | tuple) else text


def console_renderer(*, is_terminal: bool) -> Renderer:
    """What makes lines for people, with colours on a terminal unless NO_COLOR forbids them.

    Text of several lines (an excerpt of a file, the last words of a process) stands under its line as it is.
    """
    colors = is_terminal and not os.environ.get("NO_COLOR")
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - only where somebody reads along

    renderer = ConsoleRenderer(colors=colors, pad_event_to=26, sort_keys=False)

    def render(record: Record) -> bytes:
        shown = {name: value for name, value in record.items() if name not in _FOR_MACHINES}
        if record.get("event") != PROCESS_OUTPUT.name and record.get("pid") != os.getpid():
            shown["pid"] = record.get("pid")
        shown["timestamp"] = str(shown["timestamp"])[11:23]
        message = shown.pop("message", None)
        if message is not None:
            shown["event"] = f"{shown['event']:<26} {message}"
        below = {name: shown.pop(name) for name in list(shown) if name != "exception" and _has_lines(shown[name])}
        text = str(renderer(None, str(record["level"]), shown))
        for name, value in below.items():
            lines = value if isinstance(value, list | tuple) else str(value).splitlines()
            text += f"\n    {name}:" + "".join(f"\n    | {line}" for line in lines)
        return text.encode("utf-8", "backslashreplace")

    return render


def _has_lines(value: object) -> bool:
    """Whether a value is better read line by line."""
    if isinstance(value, str):
        return "\n" in value.strip()
    return (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(isinstance(item, str) for item in value)
        and (sum(map(len, value)) > _LONGEST_INLINE)
    )
