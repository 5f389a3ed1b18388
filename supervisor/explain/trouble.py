"""What a boot has to tell of: what went wrong, what was started again, and what else happened. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from supervisor import errors
from supervisor.explain.record import Record
from supervisor.process.last_words import last_words

_LONGEST_MESSAGE: Final = 2000
_KEPT_LINES: Final = 12
_LONGEST_LINE: Final = 500


@dataclass(slots=True)
class Episode:
    """Something worth telling that is neither a failure nor a restart; the same thing again is counted."""

    at_s: float
    level: str
    event: str
    text: str
    remedy: str | None = None
    count: int = 1
    last_s: float = 0.0


@dataclass(slots=True)
class Trouble:
    """What stopped a boot, or ended a process.

    Attributes:
        at_s: Unix seconds.
        code: stable name, of the catalogue of failures or ``process.`` and the reason of a restart.
        message: the cause, one sentence.
        remedy: what to do, one sentence.
        runbook: where more is to be read; None where the log does not say it.
        exit_code: the supervisor's own, when it ended of this.
        place: the phase or the process.
        details: what else is known: ``excerpt``, ``exit_status``, ``signal``, ``oom``, ``uptime_s``, ``restarts``,
            ``changed``, ``postgres``.
        lines: what was written last before it.
        of: the event that told of it.
    """

    at_s: float
    code: str
    message: str
    remedy: str
    runbook: str | None = None
    exit_code: int | None = None
    place: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    of: str = ""


@dataclass(slots=True)
class Restart:
    """One restart of a process, and why."""

    at_s: float
    process: str
    why: str
    trouble: Trouble
    uptime_s: float | None
    delay_s: float | None
    number: int | None
    limit: int | None
    ready_after_s: float | None = None


_DETAILS: Final = (
    "excerpt", "exit_status", "signal", "oom", "uptime_s", "restarts", "changed", "last_good_boot", "postgres", "file",
    "line", "losses", "problems", "last_status",
)  # fmt: skip


def trouble_of(at_s: float, record: Record) -> Trouble:
    """What an event tells of a failure; what it leaves open comes from the catalogue of failures."""
    fields = record.fields
    code = str(fields.get("code", "unknown"))
    entry = errors.CATALOGUE.get(code)
    message = fields.get("message") or (entry.meaning if entry else "The line that tells of the failure is not whole.")
    remedy = fields.get("remedy") or (entry.remedy if entry else "See the runbook.")
    lines = fields.get("last_lines") or record.before
    return Trouble(
        at_s,
        code,
        str(message)[:_LONGEST_MESSAGE],
        str(remedy)[:_LONGEST_MESSAGE],
        runbook=fields.get("runbook"),
        exit_code=fields.get("exit_code"),
        place=fields.get("process") or fields.get("phase"),
        # That nothing has changed is something to know, too.
        details={
            name: fields[name]
            for name in _DETAILS
            if fields.get(name) not in (None, "") and (fields[name] != [] or name == "changed")
        },
        lines=last_of(lines),
        of=record.event,
    )


def last_of(lines: Sequence[Any]) -> tuple[str, ...]:
    """The last of the lines that a process wrote, bounded, with the one that tells why it ended."""
    kept = [str(line)[:_LONGEST_LINE] for line in lines]
    words = last_words(kept)
    if words is None or words in kept[-_KEPT_LINES:]:
        return tuple(kept[-_KEPT_LINES:])
    # A dump that is longer than what is kept has its reason at its beginning.
    return words, "…", *kept[2 - _KEPT_LINES :]


def merge(into: Trouble, other: Trouble) -> None:
    """Add to a trouble what another line tells of the same one."""
    into.details = {**other.details, **into.details}
    into.lines = into.lines or other.lines
    into.place = into.place or other.place
    into.runbook = into.runbook or other.runbook
    if into.exit_code is None:
        into.exit_code = other.exit_code
