"""What others put around our lines: container runtimes, Compose, Kubernetes, journald. Pure.

Sources: Docker's json-file driver (https://docs.docker.com/engine/logging/drivers/json-file/), `docker logs -t` and
`docker compose logs`; CRI (https://github.com/kubernetes/design-proposals-archive, kubelet-cri-logging); `kubectl logs
--prefix --timestamps`; systemd.journal-fields(7) and the short outputs of journalctl(1).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Final

_DEEPEST: Final = 4
_TIME: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_TIMESTAMP: Final = re.compile(rf"({_TIME}) (?:(stdout|stderr) ([FP])(?::\S*)? )?")
_KUBECTL: Final = re.compile(r"\[(pod/[^\]\s]+)\] ")
_COMPOSE: Final = re.compile(r"([A-Za-z0-9][\w.-]{0,120}) *\| ?")
_JOURNALD: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.-]+) ([^\s:\[\]]+)(?:\[\d+\])?: ")
_JOURNALD_AFTER_TIME: Final = re.compile(r"([\w.-]+) ([^\s:\[\]]+)\[\d+\]: ")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What nobody here knows the form of: whatever stands before the beginning of one of our lines.
_ANY: Final = re.compile(r'\{"timestamp":"|timestamp=\d{4}-')
_CHANGING: Final = re.compile(rf"{_TIME}|\d+")


@dataclass(frozen=True, slots=True)
class Framed:
    """One line, out of its frame.

    Attributes:
        text: what the program wrote.
        source: whom the frame names: a container, a pod, a host and unit; empty when it names none.
        time: the frame's own timestamp.
        stream: stdout or stderr, where the frame says it.
        partial: whether the text goes on in the next line of the same source and stream.
    """

    text: str
    source: str = ""
    time: str | None = None
    stream: str = ""
    partial: bool = False


def unframe(line: bytes) -> Framed:
    """Take a line out of all that is around it."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    framed = Framed(text)
    for _ in range(_DEEPEST):
        inner = _inner(framed)
        if inner is None:
            break
        framed = inner
    return framed


def _inner(framed: Framed) -> Framed | None:
    """The line with one layer less; None when there is none around it."""
    text = framed.text
    if text.startswith("{"):
        return _from_json(framed)
    if match := _TIMESTAMP.match(text):
        rest, source = text[match.end() :], framed.source
        if not match[2] and (unit := _JOURNALD_AFTER_TIME.match(rest)):
            rest, source = rest[unit.end() :], f"{unit[1]} {unit[2]}"
        return replace(
            framed,
            text=rest,
            source=source,
            time=match[1],
            stream=match[2] or framed.stream,
            partial=match[3] == "P",
        )
    for pattern in (_KUBECTL, _COMPOSE, _JOURNALD):
        if match := pattern.match(text):
            return replace(framed, text=text[match.end() :], source=" ".join(match.groups()))
    if (match := _ANY.search(text)) and match.start() and not framed.source:
        return replace(framed, text=text[match.start() :], source=_CHANGING.sub("", text[: match.start()]).strip())
    return None


def _from_json(framed: Framed) -> Framed | None:
    # Our own lines begin with their timestamp: they are parsed once, later.
    if framed.text.startswith('{"timestamp"'):
        return None
    try:
        record = json.loads(framed.text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or "event" in record:
        return None
    if isinstance(text := record.get("log"), str):
        return replace(
            framed,
            text=_COLOUR.sub("", text).rstrip("\r\n"),
            time=str(record.get("time", "")) or framed.time,
            stream=str(record.get("stream", "")),
            partial=not text.endswith("\n"),
        )
    if isinstance(text := record.get("MESSAGE"), str):
        names = (record.get(name) for name in ("_HOSTNAME", "CONTAINER_NAME", "SYSLOG_IDENTIFIER"))
        return replace(framed, text=text, source=" ".join(name for name in names if isinstance(name, str))[:120])
    return None
