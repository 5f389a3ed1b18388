"""What others put around our lines: container runtimes, Compose, Kubernetes, journald. Pure.

Sources: Docker's json-file driver (https://docs.docker.com/engine/logging/drivers/json-file/), `docker logs -t` and
`docker compose logs`; CRI (https://github.com/kubernetes/design-proposals-archive, kubelet-cri-logging); `kubectl logs
--prefix --timestamps`; systemd.journal-fields(7) and the short outputs of journalctl(1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_DEEPEST: Final = 4
_TIME: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_TIMESTAMP: Final = re.compile(rf"({_TIME}) (?:(stdout|stderr) ([FP])(?::\S*)? )?")
_KUBECTL: Final = re.compile(r"\[(pod/[^\]\s]+)\] ")
# With an @ it is a task of a Swarm service and its node.
_COMPOSE: Final = re.compile(r"([A-Za-z0-9][\w.@-]{0,120}) *\| ?")
_JOURNALD: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.-]+) ([^\s:\[\]]+)(?:\[\d+\])?: ")
_JOURNALD_AFTER_TIME: Final = re.compile(r"([\w.-]+) ([^\s:\[\]]+)\[\d+\]: ")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What nobody here knows the form of: whatever stands before the beginning of one of our lines.
_ANY: Final = re.compile(r'\{"timestamp":"|timestamp=\d{4}-')
# Of that, words make a name; times, numbers, process ids and marks may change from line to line.
_WORD: Final = re.compile(r"(?<!\S)(?!(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|UTC)\b)[A-Za-z][^\s\[\]]*")
_MONTH: Final = re.compile(r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d")
# Docker stores a line in parts of so many bytes, and `docker logs -t` puts a time before each, also within the line:
# https://github.com/moby/moby/issues/37681.
_PART_BYTES: Final = 16_384
_PART_STAMP: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
_PREFIX_BYTES: Final = 240
# Where log shippers put the line, and whose it is.
_TEXTS: Final = ("log", "MESSAGE", "message", "textPayload")
_SOURCES: Final = ("_HOSTNAME", "CONTAINER_NAME", "SYSLOG_IDENTIFIER", "container_name", "pod_name", "host")
_OF_DOCKER: Final = frozenset({"log", "stream", "time", "attrs"})


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
    """Take a line out of all that is around it. Its text, joined where it is in parts, is for :func:`repaired`."""
    if len(line) > _PART_BYTES:
        line = _without_stamps(line)
    text = line.decode("utf-8", "surrogateescape").lstrip("\ufeff").rstrip("\r")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    framed = Framed(text)
    for _ in range(_DEEPEST):
        inner = _inner(framed)
        if inner is None:
            break
        framed = inner
    return framed


def repaired(text: str) -> str:
    """A text whose bytes are all there: what is no UTF-8 is replaced; a part may begin and end within a character."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _without_stamps(line: bytes) -> bytes:
    first = _PART_STAMP.search(line, 0, _PREFIX_BYTES)
    if first is None:
        return line
    parts, at = [line[: first.end()]], first.end()
    while stamp := _PART_STAMP.match(line, at + _PART_BYTES):
        parts.append(line[at : stamp.start()])
        at = stamp.end()
    return b"".join([*parts, line[at:]])


def _inner(framed: Framed) -> Framed | None:
    """The line with one layer less; None when there is none around it."""
    text = framed.text
    if text.startswith("{") and (record := _object(text)) is not None:
        return _from_json(framed, record)
    # Our own lines begin with their timestamp: they are parsed once, later.
    if text.startswith('{"timestamp"'):
        return None
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
        return replace(framed, text=text[match.start() :], source=_name_in(text[: match.start()]))
    return None


def _name_in(prefix: str) -> str:
    return " ".join(word.rstrip(":") for word in _WORD.findall(_MONTH.sub("", prefix)))


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object of others; None for one of ours, and for what is none."""
    if text.startswith('{"timestamp"') and '"boot_id":' in text:
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "event" not in record else None


def _from_json(framed: Framed, record: Mapping[str, Any]) -> Framed | None:
    text = next((value for name in _TEXTS if isinstance(value := record.get(name), str)), None)
    if text is None:
        return None
    # Only Docker's own files tell a part by the newline that it has not.
    partial = record.keys() <= _OF_DOCKER and "time" in record and not text.endswith("\n")
    kubernetes = record.get("kubernetes")
    told = {**kubernetes, **record} if isinstance(kubernetes, dict) else record
    names = [name for key in _SOURCES if isinstance(name := told.get(key), str)]
    return replace(
        framed,
        text=_COLOUR.sub("", text).rstrip("\r\n"),
        source=" ".join(names)[:120] or framed.source,
        time=str(record.get("time", "")) or framed.time,
        stream=str(record.get("stream", "")),
        partial=partial,
    )
