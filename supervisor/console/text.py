"""The picture as text for a terminal. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_COLORS: Final = {"good": "32", "busy": "34", "warn": "33", "bad": "31", "soft": "2", "bold": "1"}
_STATES: Final = {"ready": "good", "failed": "bad", "restarting": "warn", "stopping": "warn", "stopped": "warn"}
_LEVELS: Final = {"debug": "soft", "warning": "warn", "error": "bad", "critical": "bad"}
# What a terminal would take for a command.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MEGABYTE: Final = 1024 * 1024
_HIDDEN: Final = frozenset({"timestamp", "level", "event", "component", "boot_id", "seq", "pid", "message", "process"})


def status_text(picture: Mapping[str, Any], *, color: bool) -> str:
    """The whole picture."""
    paint = _Painter(color)
    state, own, boot = picture["state"], picture["supervisor"], picture["boot"]
    sections = [
        f"{paint(state['name'], _STATES.get(state['name'], 'busy'))}  {_clean(state['reason'])}\n"
        + paint(
            f"supervisor {own['version']}, up {_duration(own['uptime_s'])}, "
            f"{_megabytes(own['memory_bytes'])}; directus {picture['directus_version'] or 'unknown'}",
            "soft",
        )
    ]
    incident = picture["last_incident"]
    if incident is not None:
        sections.append(
            f"{paint('last incident', 'bold')}  {incident['at']}  {incident['code']}\n  {_clean(incident['message'])}\n"
            f"  what to do: {_clean(incident['remedy'])}"
        )
    rows = [
        (
            phase["name"],
            phase["outcome"] or phase["state"],
            _duration(phase["duration_s"]),
            _clean("; ".join(filter(None, [phase["summary"], *phase["details"]]))),
        )
        for phase in boot["phases"]
    ]
    if rows:
        sections.append(_table(("PHASE", "OUTCOME", "TIME", "SUMMARY"), rows, paint))
    processes = [
        (
            process["name"],
            process["state"],
            str(process["pid"] or "-"),
            _duration(process["uptime_s"]),
            _counts(process["restarts"]),
            _megabytes(process["memory_bytes"]),
            _percent(process["history"]),
        )
        for process in picture["processes"]
    ]
    if processes:
        sections.append(_table(("PROCESS", "STATE", "PID", "UP", "RESTARTS", "MEMORY", "CPU"), processes, paint))
    pending = picture["migrations"]["pending"]
    if pending:
        files = "\n".join(f"  {_clean(file['file'])} waits for {file['extension']}" for file in pending)
        sections.append(f"{paint('pending SQL files', 'bold')}\n{files}")
    return "\n\n".join(sections) + "\n"


def line_text(record: Mapping[str, Any], *, color: bool) -> str:
    """One record of the log on one line."""
    paint = _Painter(color)
    if record.get("event") == "log.skipped":
        return paint(f"… {record['lines']} lines came faster than they could be shown", "soft")
    level = str(record.get("level", ""))
    rest = " ".join(f"{name}={value}" for name, value in record.items() if name not in _HIDDEN | {"stream"})
    event = "" if record.get("event") == "process.output" else str(record.get("event", ""))
    words = " ".join(filter(None, [event, str(record.get("message", "")), rest]))
    who = _clean(str(record.get("process") or record.get("component", "")))
    return f"{str(record.get('timestamp', ''))[11:23]} {paint(f'{level:<8}', _LEVELS.get(level, ''))} {who:<11} " + (
        _clean(words)
    )


class _Painter:
    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, tone: str) -> str:
        return f"\x1b[{_COLORS[tone]}m{text}\x1b[0m" if self._color and tone else text


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], paint: _Painter) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join([paint(lines[0].rstrip(), "bold"), *(line.rstrip() for line in lines[1:])])


def _clean(text: str) -> str:
    return _CONTROL.sub("?", text)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min" if minutes < 100 else f"{hours} h {minutes % 60} min"


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / _MEGABYTE:.0f} MB"


def _percent(history: Sequence[Mapping[str, Any]]) -> str:
    ratio = history[-1]["cpu_ratio"] if history else None
    return "-" if ratio is None else f"{ratio * 100:.0f} %"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "0"
