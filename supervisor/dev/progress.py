"""What the user sees while something long is being set up.

A bar with a figure on a terminal, one line per step elsewhere; both on stderr, stdout belongs to the log.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichBars
    from rich.progress import TaskID


class Step(Protocol):
    """One step under way."""

    def advance(self, completed: int, total: int, note: str = "") -> None:
        """Report how far the step is.

        Args:
            completed: units done so far, from the start of the step.
            total: units in all; 0 when unknown.
            note: what is happening now, in a few words.
        """

    def say(self, note: str) -> None:
        """Report something that the user should know without any change in the figure."""


class Progress(Protocol):
    """The display of all steps."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Show a step from the start of the block to its end."""


class PlainProgress:
    """One line when a step starts, one when it is done; for pipes, files and CI logs.

    Args:
        stream: where the lines go; stderr when not given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Print the start and the end of a step, with its duration in seconds."""
        started = time.monotonic()
        self._line(f"{name} ...")
        try:
            yield _PlainStep(name, self._line)
        except BaseException:
            self._line(f"{name}: not finished ({time.monotonic() - started:.1f} s)")
            raise
        self._line(f"{name}: done ({time.monotonic() - started:.1f} s)")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class _PlainStep:
    _QUARTER = 25

    def __init__(self, name: str, line: _Writer) -> None:
        self._name = name
        self._line = line
        self._next_percent = self._QUARTER

    def advance(self, completed: int, total: int, note: str = "") -> None:
        # A CI log without any line for minutes looks like a hang; one line a quarter is enough.
        percent = completed * 100 // total if total else 0
        if percent >= self._next_percent:
            self._next_percent = percent - percent % self._QUARTER + self._QUARTER
            self._line(f"{self._name}: {min(percent, 100)} %" + (f", {note}" if note else ""))

    def say(self, note: str) -> None:
        self._line(f"{self._name}: {note}")


class _Writer(Protocol):
    def __call__(self, text: str) -> None: ...


class TerminalProgress:
    """Moving bars on a terminal; the bars of finished steps stay as a record."""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a bar for a step, replaced by one line when it ends."""
        from rich.console import Console  # noqa: PLC0415 - not for pipes and CI
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        columns = (
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(name, total=None, note="")
            yield _TerminalStep(bars, task)
            bars.update(task, total=1, completed=1, note="")


class _TerminalStep:
    def __init__(self, bars: RichBars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, completed: int, total: int, note: str = "") -> None:
        # A full bar would show the step as done while it is still under way.
        figure = min(completed, total - 1) if total else 0
        self._bars.update(self._task, total=total or None, completed=figure, note=note)

    def say(self, note: str) -> None:
        self._bars.update(self._task, note=note)


def progress_for(stream: TextIO | None = None) -> Progress:
    """The display that suits where the output goes.

    Args:
        stream: the stream to look at; stderr when not given.

    Returns:
        Bars when it is a terminal and rich is installed, lines otherwise.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        return PlainProgress(stream)
    try:
        import rich.progress  # noqa: F401, PLC0415
    except ImportError:
        return PlainProgress(stream)
    return TerminalProgress()
