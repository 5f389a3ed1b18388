"""Directus' log lines, read: with ``LOG_STYLE=raw`` it writes pino's JSON, and now and then plain text all the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

import orjson

from supervisor.logs.render import DEEPEST, deeper_than, to_json

# pino's numbers: https://getpino.io/#/docs/api?id=loggerlevel-string-gettersetter
_LEVELS: Final[dict[float, str]] = {10: "debug", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "error"}
_THRESHOLDS: Final = ((50, "error"), (40, "warning"), (30, "info"))
# Said once by our own line, or without use in a container; also `level` and `msg`.
_LEFT_OUT: Final = ("time", "pid", "hostname", "severity")
# How numbers look that the fast decoder may have rounded: it takes integers beyond 64 bits for floats.
_ROUNDED: Final = b"e+"


@dataclass(slots=True)  # not frozen: that takes three times as long to make, and there is one for each line
class Entry:
    """One line of a process, understood as far as it goes.

    Attributes:
        level: one of our own levels.
        message: the text.
        data: the remaining fields of a structured line, as a JSON object; empty where there are none.
        structured: whether the line said its level itself.
    """

    level: str
    message: str
    data: bytes = b""
    structured: bool = field(default=True, compare=False)


def parse_lines(lines: list[bytes], *, plain_level: str, partial: bool = False) -> list[Entry]:
    """Understand lines of output.

    Args:
        lines: the bytes of each, without newline; need not be UTF-8.
        plain_level: the level of a line that does not say its own.
        partial: whether the last line goes on in the next one, so that nothing at its end is a line ending.
    """
    entries = [
        (line[:1] == b"{" and _parse_json(line)) or Entry(plain_level, _text(line).rstrip("\r"), structured=False)
        for line in lines
    ]
    if partial and not entries[-1].structured:
        entries[-1].message = _text(lines[-1])
    return entries


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def _parse_json(line: bytes) -> Entry | None:
    try:
        record = orjson.loads(line)
        if record.__class__ is not dict:
            return None
        level = _LEVELS[record.pop("level", None)]
        message = record.pop("msg")
        for name in _LEFT_OUT:
            if name in record:
                del record[name]
        data = orjson.dumps(record) if record else b""
        if message.__class__ is str and _ROUNDED not in data:
            return Entry(level, message, data)
    except (ValueError, TypeError, KeyError):
        pass
    return _parse_patiently(_text(line))


def _parse_patiently(text: str) -> Entry | None:
    """What the fast way refuses: NaN, lone surrogates, numbers beyond 64 bits, bytes that are no UTF-8, odd levels."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("level"), int | float):
        return None
    level = _level(record.pop("level"))
    message = record.pop("msg", None)
    if message is None:
        error = record.get("err")
        message = error.get("message", "") if isinstance(error, dict) else ""
    for name in _LEFT_OUT:
        record.pop(name, None)
    if deeper_than(DEEPEST, record):
        return Entry(level, text.rstrip("\r"))
    return Entry(level, str(message), to_json(record) if record else b"")


def _level(number: float) -> str:
    for threshold, name in _THRESHOLDS:
        if number >= threshold:
            return name
    return "debug"
