"""Boot to the first answered ping, side by side with the bash flow and with Directus alone."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import proc
from benchmarks.deployment import Deployment
from benchmarks.parts import set_up_parts
from benchmarks.table import Figure, print_figures, status_of
from benchmarks.watched import Command, Watched

_Side = tuple[Callable[[], Deployment], Callable[[Deployment], Command]]


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.boot", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("-n", type=int, default=3, metavar="N", help="boots per side and kind (3); medians count")
    parser.add_argument("--program", type=Path, help="the directus-supervisor to measure; default: this tree")
    options = parser.parse_args()

    print(f"load at the start: {proc.load()}", file=sys.stderr)
    with set_up_parts(options.program) as parts:
        warm = _in_turns(
            [
                (parts.warm, lambda deployment: deployment.ours("run")),
                (parts.warm, lambda deployment: deployment.bash_flow()),
                (parts.warm, lambda deployment: deployment.alone()),
            ],
            options.n,
        )
        fresh = _in_turns(
            [
                (parts.fresh, lambda deployment: deployment.ours("run")),
                (parts.fresh, lambda deployment: deployment.bash_flow()),
            ],
            options.n,
        )
    figures = [
        _figure("warm boot to ready, s", warm[0], warm[1], "the bash flow", goal=True),
        _figure("warm boot to ready, s", warm[0], warm[2], "`cli.js start` alone", goal=False),
        _figure("fresh boot to ready, s", fresh[0], fresh[1], "the bash flow", goal=True),
    ]
    print_figures("Boot", figures)
    return status_of(figures, check=options.check)


def _in_turns(sides: list[_Side], rounds: int) -> list[list[float]]:
    """Seconds to the first answer of each side, measured in turns, so that a busy moment meets all of them."""
    spans: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for (make, command), results in zip(sides, spans, strict=True):
            deployment = make()
            with Watched(command(deployment)) as watched:
                results.append(deployment.wait_until_ready(watched))
    return spans


def _figure(name: str, ours: list[float], theirs: list[float], beside: str, *, goal: bool) -> Figure:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    other = statistics.median(theirs)
    return Figure(
        name=name,
        ours=statistics.median(ours),
        theirs=other,
        beside=beside,
        at_most=other if goal else None,
        note="ratio of each pair " + ", ".join(f"{ratio:.2f}" for ratio in ratios),
    )


if __name__ == "__main__":
    sys.exit(main())
