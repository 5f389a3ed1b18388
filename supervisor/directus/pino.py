"""Directus' log lines, read: with ``LOG_STYLE=raw`` it writes pino's JSON, and now and then plain text all the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

# pino's numbers: https://getpino.io/#/docs/api?id=loggerlevel-string-gettersetter
_LEVELS: Final = ((50, "error"), (40, "warning"), (30, "info"))
# Deeper data stays text: whoever walks through it later must not run out of stack.
_DEEPEST: Final = 64
# Said once by our own line, or without use in a container.
_LEFT_OUT: Final = frozenset({"level", "time", "pid", "hostname", "msg", "severity"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a process, understood as far as it goes.

    Attributes:
        level: one of our own levels.
        message: the text.
        data: the remaining fields of a structured line.
        structured: whether the line said its level itself.
    """

    level: str
    message: str
    data: dict[str, Any]
    structured: bool = field(default=True, compare=False)


def parse_line(line: bytes, *, plain_level: str, partial: bool = False) -> Entry:
    """Understand one line of output.

    Args:
        line: the bytes, without newline; need not be UTF-8.
        plain_level: the level of a line that does not say its own.
        partial: whether the line goes on in the next one, so that nothing at its end is a line ending.
    """
    text = line.decode("utf-8", "backslashreplace")
    if not partial:
        text = text.rstrip("\r")
    if text.startswith("{"):
        entry = _parse_json(text)
        if entry is not None:
            return entry
    return Entry(plain_level, text, {}, structured=False)


def _parse_json(text: str) -> Entry | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("level"), int | float):
        return None
    if _deeper_than(_DEEPEST, record):
        return Entry(_level(record["level"]), text, {})
    data = {key: value for key, value in record.items() if key not in _LEFT_OUT}
    message = record.get("msg")
    if message is None:
        error = record.get("err")
        message = error.get("message", "") if isinstance(error, dict) else ""
    return Entry(_level(record["level"]), str(message), data)


def _level(number: float) -> str:
    for threshold, name in _LEVELS:
        if number >= threshold:
            return name
    return "debug"


def _deeper_than(levels: int, value: object) -> bool:
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
