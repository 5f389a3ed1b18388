"""A command of ours as a child: in a session of its own, ended with the run, its log lines read as they come."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

_TERM_S: Final = 30.0
_KEPT_LINES: Final = 50


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: the status, its structured lines, and the last of the others."""

    status: int
    lines: tuple[Mapping[str, Any], ...]
    others: tuple[str, ...]


async def run_child(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path,
    on_line: Callable[[Mapping[str, Any]], None] = lambda _: None,
    *,
    kept_lines: int = _KEPT_LINES,
) -> Ended:
    """Run one command to its end; a cancellation asks it to stop, and waits until it has.

    Args:
        arguments: of our own command line.
        environ: its environment.
        cwd: its folder.
        on_line: told each structured line.
        kept_lines: how many of the last lines that are not structured are kept.
    """
    lines: list[Mapping[str, Any]] = []
    others: list[str] = []

    def take(text: str) -> None:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict):
            lines.append(line)
            on_line(line)
        elif text.strip():
            others.append(text)
            del others[:-kept_lines]

    process = await anyio.open_process(
        [sys.executable, "-m", "supervisor", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        rest = ""
        async for chunk in TextReceiveStream(process.stdout, errors="replace"):
            *whole, rest = (rest + chunk).split("\n")
            for text in whole:
                take(text)
        take(rest)
        status = await process.wait()
    finally:
        await _end(process)
    return Ended(status if status >= 0 else 128 - status, tuple(lines), tuple(others))


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with anyio.move_on_after(_TERM_S):
                # Nobody reads any more, and a full pipe must not keep it.
                assert process.stdout is not None  # noqa: S101
                async for _ in process.stdout:
                    pass
                await process.wait()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await process.aclose()
