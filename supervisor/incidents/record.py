"""The record of one incident: which fields it has, and how long they may get. Pure."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from supervisor.errors import as_failure, runbook_link

KEPT_LINES: Final = 60
LONGEST_LINE: Final = 1000
LONGEST_TEXT: Final = 8000
LONGEST_BYTES: Final = 128 * 1024
# The core of a record, which is kept when all of it would be too long.
_CORE: Final = ("code", "message", "remedy", "runbook", "phase", "process", "exit_status", "signal", "exit_code", "oom")
_CUT: Final = "…"
# What a log line has anyway, and must not be said by a fact.
_RESERVED: Final = frozenset({"level", "event", "timestamp", "component", "boot_id"})

Fields = dict[str, Any]
Mask = Callable[[str], str]


def of_process(code: str, message: str, remedy: str, facts: Mapping[str, Any], *, mask: Mask = str) -> Fields:
    """The record of a process that is started again, or given up while everything else goes on.

    Args:
        code: its name in the catalogue.
        message: one sentence.
        remedy: one sentence on what to do.
        facts: what is known of its end.
        mask: takes secrets out of a text; a cut would leave half of one, which nobody knows any more.
    """
    return _record(code, message, remedy, facts, mask)


def of_failure(error: Exception, *, phase: str | None, uptime_s: float, mask: Mask = str) -> Fields:
    """The record of a failure that ends the supervisor.

    Args:
        error: the failure; one that is not understood is a bug of ours, and comes with its traceback.
        phase: the phase that failed.
        uptime_s: seconds since the supervisor was started, for a failure that concerns no process.
        mask: as of :func:`of_process`.
    """
    failure = as_failure(error)
    facts = {"uptime_s": round(uptime_s, 3), **failure.facts, "exit_code": int(failure.exit_code)}
    if phase is not None:
        facts["phase"] = phase
    if failure is not error:
        facts["exception"] = mask("".join(traceback.format_exception(error)))[-LONGEST_TEXT:]
    return _record(failure.failure.code, failure.message, failure.remedy, facts, mask)


def _record(code: str, message: str, remedy: str, facts: Mapping[str, Any], mask: Mask) -> Fields:
    core: Fields = {
        "code": code,
        "message": cut(mask(message), LONGEST_TEXT),
        "remedy": cut(mask(remedy), LONGEST_TEXT),
        "runbook": runbook_link(code),
    }
    rest = {name: value for name, value in facts.items() if name not in core and name not in _RESERVED}
    rest.setdefault("oom", False)
    rest.setdefault("restarts", 0)
    rest["last_lines"] = last_lines_of(rest.get("last_lines", ()), mask)
    first: Fields = {name: rest.pop(name) for name in _CORE if name in rest}
    return {**core, **first, **rest}


def last_lines_of(lines: Sequence[str], mask: Mask = str) -> list[str]:
    """The last lines, bounded in number and length."""
    return [cut(mask(str(line)), LONGEST_LINE) for line in list(lines)[-KEPT_LINES:]]


def cut(text: str, longest: int) -> str:
    """A text of bounded length."""
    return text if len(text) <= longest else text[:longest] + _CUT


def as_document(fields: Mapping[str, Any]) -> bytes:
    """A record as the JSON of one file, of bounded length: what is too long loses its lines first, then its details."""
    for shown in (
        fields,
        {**fields, "last_lines": [cut(line, 200) for line in fields["last_lines"][-10:]]},
        {name: value for name, value in fields.items() if name in {*_CORE, "id", "timestamp", "boot_id", "host"}},
    ):
        text = json.dumps(shown, ensure_ascii=False, indent=2, default=str)
        document = text.encode("utf-8", "backslashreplace") + b"\n"
        if len(document) <= LONGEST_BYTES:
            break
    return document
