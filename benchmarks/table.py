"""The figures of a run, side by side, and their goals."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import proc


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing.

    Attributes:
        name: what was measured, with its unit.
        ours: the figure of directus-supervisor.
        theirs: the figure of what is beside it; None when there is nothing to compare.
        beside: what is beside it.
        at_most: the goal, as an upper bound; None when there is none.
        at_least: the goal, as a lower bound.
        complaint: why the figure counts for nothing, such as a lost line; it fails the goal.
        note: what else is worth knowing.
    """

    name: str
    ours: float
    theirs: float | None = None
    beside: str = ""
    at_most: float | None = None
    at_least: float | None = None
    complaint: str = ""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is met; true when there is none."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.ours <= high and not self.complaint

    @property
    def goal(self) -> str:
        """The goal and whether it is met, in a few characters."""
        if self.at_most is None and self.at_least is None and not self.complaint:
            return ""
        bounds = [f"≤ {_short(self.at_most)}"] if self.at_most is not None else []
        bounds += [f"≥ {_short(self.at_least)}"] if self.at_least is not None else []
        return f"{' '.join(bounds)} {'met' if self.met else 'MISSED'}".strip()


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures as a Markdown table, with the machine, the time and the load."""
    print(f"\n{title}: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, load {proc.load()}\n")
    print("| what | ours | beside it | | ratio | goal | |")
    print("| --- | ---: | ---: | --- | ---: | --- | --- |")
    for figure in figures:
        theirs = "" if figure.theirs is None else _short(figure.theirs)
        ratio = f"{figure.ours / figure.theirs:.2f}" if figure.theirs else ""
        note = "; ".join(filter(None, (figure.complaint, figure.note)))
        cells = (figure.name, _short(figure.ours), theirs, figure.beside, ratio, figure.goal, note)
        print("| " + " | ".join(cells) + " |")


def status_of(figures: Sequence[Figure], *, check: bool) -> int:
    """The exit status of a run: 1 when goals are checked and one is missed."""
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        print("\nmissed: " + "; ".join(missed))
    return 1 if check and missed else 0


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
