"""`explain`: reads logs, and prints the account."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from supervisor import errors
from supervisor.errors import ExitCode, SupervisorError
from supervisor.explain.account import Account, Input
from supervisor.explain.judge import judge
from supervisor.explain.ledger import Ledger
from supervisor.explain.lines import BLOCK_BYTES, Progress, Read, reader_of
from supervisor.explain.numbering import Numbering
from supervisor.explain.record import seconds_of
from supervisor.explain.scan import Scanner
from supervisor.explain.text import NARROWEST, Style, account_text

STDIN: Final = "-"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")
_WIDEST: Final = 160
_WITHOUT_TERMINAL: Final = 100


def run_explain(
    environ: Mapping[str, str], files: Sequence[str], *, as_json: bool, since: str | None, boot: str | None, last: bool
) -> int:
    """Read the files, and print the account.

    Args:
        environ: the process environment: ``NO_COLOR``, ``FORCE_COLOR``, ``COLUMNS``.
        files: paths; ``-`` or none for stdin.
        as_json: as one JSON object.
        since: only boots that were alive then, RFC 3339 or ``2h``.
        boot: only the boots whose id begins so.
        last: only the last boot of each replica.

    Returns:
        The status to exit with: 0, that of a file that cannot be read, or that of a log without anything of ours.
    """
    try:
        since_s = time_of(since, time.time()) if since is not None else None
        account, unread = explain(files or [STDIN], since_s=since_s, boot=boot, last=last)
        _print(account, environ, as_json=as_json)
    except SupervisorError as error:
        sys.stderr.write(f"{error.message}\n{error.remedy}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:
        # `explain | head`: whoever reads has enough. What is buffered must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.STOPPED
    return errors.LOG_UNREADABLE.exit_code if unread else ExitCode.STOPPED


def time_of(text: str, now_s: float) -> float:
    """What `--since` means as Unix seconds.

    Args:
        text: RFC 3339, or how long ago: ``90s``, ``30m``, ``2h``, ``1d``.
        now_s: Unix seconds.

    Raises:
        SupervisorError: ``usage``.
    """
    if match := _SPAN.fullmatch(text):
        return now_s - float(match[1]) * _UNITS[match[2]]
    found = seconds_of(text)
    if found is None:
        raise SupervisorError(
            errors.USAGE,
            f"--since {text} is neither a time nor a span",
            remedy="Write 2026-01-31T03:00:00Z, or how long ago: 90s, 30m, 2h, 1d.",
        )
    return found


def explain(
    files: Sequence[str], *, since_s: float | None = None, boot: str | None = None, last: bool = False
) -> tuple[Account, int]:
    """Read logs, one after the other, and make the account of all of them together.

    Args:
        files: paths; ``-`` for stdin.
        since_s: only boots with a line since then, Unix seconds.
        boot: only the boots whose id begins so.
        last: only the last boot of each replica.

    Returns:
        The account, and how many files could not be read.

    Raises:
        SupervisorError: ``explain.unreadable`` when no file can be read, ``explain.nothing_found`` when nothing in them
            is ours, or no boot is asked for.
    """
    numbering = Numbering()
    scanner, ledger = Scanner(numbering), Ledger(since_s)
    remarks: list[str] = []
    read, cut, unread = 0, 0, 0
    for file in files:
        progress = Progress()
        name = "stdin" if file == STDIN else file
        try:
            with _opened(file) as read_block:
                for record in scanner.records(read_block, progress, name if len(files) > 1 else ""):
                    ledger.take(record)
        except OSError as error:
            unread += 1
            remarks.append(f"{name} cannot be read: {error.strerror or error}")
            continue
        read += progress.bytes
        cut += progress.cut_lines
        if progress.broken is not None:
            unread += 1
            remarks.append(f"{name} could be read only in part: {progress.broken}")
    if unread == len(files) and not scanner.tally.lines:
        raise SupervisorError(errors.LOG_UNREADABLE, "; ".join(remarks))
    tally = scanner.tally
    source = Input(
        files=tuple("stdin" if file == STDIN else file for file in files),
        bytes=read,
        lines=tally.lines,
        events=tally.events,
        output_lines=tally.output,
        foreign_lines=tally.foreign,
        damaged_lines=tally.damaged,
        unreadable_lines=tally.unreadable,
        unknown_events=tally.unknown,
        cut_lines=cut,
        remarks=tuple(remarks),
    )
    if not ledger.boots:
        raise _nothing(source)
    return judge(ledger, numbering, source, since_s=since_s, boot=boot, last=last), unread


def _nothing(source: Input) -> SupervisorError:
    if not source.lines:
        return SupervisorError(errors.LOG_WITHOUT_EVENTS, f"{', '.join(source.files)}: the log is empty")
    found = f"{source.lines:,} lines"
    if source.output_lines or source.unreadable_lines:
        return SupervisorError(
            errors.LOG_WITHOUT_EVENTS,
            f"{', '.join(source.files)}: of {found}, {source.output_lines:,} are what processes wrote and "
            f"{source.unreadable_lines:,} cannot be read; none tells what the supervisor did",
            remedy="Take more of the log: what the supervisor says stands at the start, and at each change.",
        )
    return SupervisorError(errors.LOG_WITHOUT_EVENTS, f"{', '.join(source.files)}: none of {found} is a supervisor's")


@contextlib.contextmanager
def _opened(file: str) -> Iterator[Read]:
    if file == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise SupervisorError(
                errors.USAGE,
                "no log was given: stdin is a terminal",
                remedy="Name a file, or pipe a log in: `docker logs CONTAINER 2>&1 | directus-supervisor explain`.",
            )
        yield reader_of(sys.stdin.buffer)
        return
    with Path(file).open("rb", buffering=BLOCK_BYTES) as stream:
        yield reader_of(stream)


def _print(account: Account, environ: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        text = json.dumps(asdict(account), ensure_ascii=True, allow_nan=False) + "\n"
    else:
        text = account_text(account, _style(environ))
    sys.stdout.write(text)
    sys.stdout.flush()


def _style(environ: Mapping[str, str]) -> Style:
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((_WITHOUT_TERMINAL, 24)).columns if terminal else _WITHOUT_TERMINAL
    colour = not environ.get("NO_COLOR") and (terminal or bool(environ.get("FORCE_COLOR")))
    return Style(max(min(width, _WIDEST), NARROWEST), colour, _shows_unicode(sys.stdout.encoding))


def _shows_unicode(encoding: str | None) -> bool:
    try:
        "█→…�".encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
