"""One record of the log as text: JSON, or a line for people."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import structlog

Record = Mapping[str, Any]
Renderer = Callable[[Record], bytes]

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


def console_renderer(*, is_terminal: bool) -> Renderer:
    """What makes lines for people, with colours on a terminal unless NO_COLOR forbids them."""
    colors = is_terminal and not os.environ.get("NO_COLOR")
    renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=26, sort_keys=False)

    def render(record: Record) -> bytes:
        shown = dict(record)
        shown.pop("boot_id", None)
        shown["timestamp"] = str(shown["timestamp"])[11:23]
        message = shown.pop("message", None)
        if message is not None:
            shown["event"] = f"{shown['event']:<26} {message}"
        return str(renderer(None, str(record["level"]), shown)).encode("utf-8", "backslashreplace")

    return render
