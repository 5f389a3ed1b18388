"""Answers without an end: the page's events, and the log as it comes. Without a reader they cost nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable
from http import HTTPStatus
from typing import Final

import anyio
import anyio.to_thread

from supervisor.health.http import Request, Response, plain
from supervisor.logs.events import LEVELS
from supervisor.logs.setup import boot_id
from supervisor.status.observatory import Observatory, as_json
from supervisor.status.ring import KEPT_LINES, KeptLine

# A picture at least so often while somebody looks, for the charts.
_LOOK_S: Final = 2.0
# What happens at once is told at once, together.
_TOGETHER_S: Final = 0.15
_SILENCE_S: Final = 15.0
_NDJSON: Final = "application/x-ndjson"


async def server_sent_events(observatory: Observatory, last_id: str) -> AsyncGenerator[bytes, None]:
    """The picture whenever it is new, and the lines of the log since the last event (HTML standard, section 9.2).

    Args:
        observatory: makes the picture.
        last_id: of the last event that the browser has seen; its lines are not sent again.
    """
    recorder = observatory.recorder
    boot, _, number = last_id.partition(":")
    seen = int(number) if boot == boot_id and number.isdecimal() else 0
    yield b"retry: 1000\n\n"
    while True:
        over = recorder.changes.over
        yield f"event: picture\ndata: {as_json(observatory.picture())}\n\n".encode()
        lines = list(recorder.lines.after(seen))
        if lines:
            seen = lines[-1].number
            records = ",".join(f'{{"number":{line.number},"record":{line.text}}}' for line in lines)
            yield f"event: lines\nid: {boot_id}:{seen}\ndata: [{records}]\n\n".encode()
        if over:
            return
        await recorder.changes.wait(_LOOK_S)
        if not recorder.changes.over:
            await anyio.sleep(_TOGETHER_S)


def logs(observatory: Observatory, request: Request) -> Response:
    """The latest lines of the log, one JSON record each.

    The query may hold ``lines`` (how many at most), ``level`` (the least), ``process``, and ``follow`` to go on with
    what comes.
    """
    query = request.query
    level, process = query.get("level", "debug"), query.get("process")
    count = query.get("lines", str(KEPT_LINES))
    if level not in LEVELS or not count.isdecimal():
        return plain(HTTPStatus.BAD_REQUEST, "`level` is a level of the log, `lines` a number.")

    def wanted(lines: Iterable[KeptLine]) -> list[KeptLine]:
        least = LEVELS[level]
        return [one for one in lines if LEVELS[one.level] >= least and process in {None, one.process}]

    kept = wanted(observatory.recorder.lines.after(0))
    latest = kept[max(len(kept) - int(count), 0) :]
    body = "".join(f"{line.text}\n" for line in latest).encode()
    parts = _following(observatory, body, wanted) if "follow" in query else None
    return Response(content_type=_NDJSON, body=b"" if parts else body, parts=parts)


async def _following(
    observatory: Observatory, first: bytes, wanted: Callable[[Iterable[KeptLine]], list[KeptLine]]
) -> AsyncGenerator[bytes, None]:
    recorder = observatory.recorder
    seen = recorder.lines.last_number
    # An empty line is no record, and shows whether the other side is still there.
    yield first or b"\n"
    while True:
        new = await recorder.changes.wait(_SILENCE_S)
        over = recorder.changes.over
        lines = list(recorder.lines.after(seen))
        if lines and (missed := lines[0].number - seen - 1):
            yield json.dumps({"event": "log.skipped", "lines": missed}).encode() + b"\n"
        seen = recorder.lines.last_number
        shown = "".join(f"{line.text}\n" for line in wanted(lines))
        if shown or not new:
            yield shown.encode() or b"\n"
        if over:
            return
        await anyio.sleep(_TOGETHER_S)


async def load_metrics(observatory: Observatory) -> Callable[[str], tuple[str, bytes]]:
    """What answers scrapes; its import takes a tenth of a second, so a thread does it while the loop goes on."""

    def load() -> Callable[[str], tuple[str, bytes]]:
        from supervisor.health.metrics import Exposition  # noqa: PLC0415 - only where somebody scrapes

        return Exposition(observatory)

    return await anyio.to_thread.run_sync(load)
