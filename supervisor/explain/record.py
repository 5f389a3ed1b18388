"""One event as it is read back from a log: fields of expected kinds and of bounded size. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

_LONGEST_TEXT: Final = 4000
_MOST_ITEMS: Final = 200
_MOST_FIELDS: Final = 60
_LARGEST: Final = 1e15
_WHOLE: Final = frozenset({"attempt", "deaths", "exit_code", "limit", "line", "pid", "restart", "restarts", "seq"})
_TEXTS: Final = frozenset({
    "action", "after", "before", "boot_id", "cause", "code", "component", "database", "event", "excerpt", "extension",
    "file", "holder", "how", "level", "message", "outcome", "phase", "process", "python", "reason", "remedy", "run",
    "runbook", "server_version", "signal", "sqlstate", "state", "step", "summary", "version",
})  # fmt: skip
_LISTS: Final = frozenset({"changed", "created", "deleted", "files", "last_lines", "losses", "phases", "problems"})


@dataclass(frozen=True, slots=True)
class Record:
    """One event.

    Attributes:
        event: its name.
        fields: what it says.
        boot_id: of which boot; None where the line does not say it.
        source: whom the frame of the line names; empty when it names none.
        at_s: Unix seconds; seconds of a day for a line that tells no date; None when it tells neither.
        dated: whether `at_s` has a date.
        seq: the number of the line within its boot.
        before: what the process concerned wrote last before it, in order.
        damaged: whether only a part of the line could be read.
    """

    event: str
    fields: Mapping[str, Any]
    boot_id: str | None = None
    source: str = ""
    at_s: float | None = None
    dated: bool = True
    seq: int | None = None
    before: Sequence[str] = field(default=())
    damaged: bool = False


def proper(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose values are of the kind that their name promises, cut to a bounded size."""
    kept: dict[str, Any] = {}
    for name, value in list(fields.items())[:_MOST_FIELDS]:
        found = _proper(name, value)
        if found is not None:
            kept[name] = found
    return kept


def _proper(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if name.endswith("_s"):
        return number(value)
    if name in _WHOLE:
        found = number(value)
        return None if found is None else int(found)
    if name in _TEXTS:
        # Some events have numbers or lists under these names.
        return None if value is None else _text(value)
    if name in _LISTS:
        return _bounded(value) if isinstance(value, list) else None
    return _bounded(value)


def number(value: object) -> float | None:
    """A finite number, also one that stands as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _LARGEST and math.isfinite(value) else None


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " …"


def _bounded(value: Any, depth: int = 3) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        found = number(value)
        return int(value) if found is not None and isinstance(value, int) else found
    if depth and isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value[:_MOST_ITEMS]]
    if depth and isinstance(value, dict):
        return {str(key)[:200]: _bounded(item, depth - 1) for key, item in list(value.items())[:_MOST_FIELDS]}
    return "…"


def seconds_of(text: str) -> float | None:
    """An RFC 3339 timestamp as Unix seconds; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(_to_microseconds(text.strip().replace(",", ".")))
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _to_microseconds(text: str) -> str:
    # containerd writes nanoseconds, and leaves out zeros at their end; Python 3.11 reads no more than six digits.
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"
