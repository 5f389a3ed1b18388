"""Supervision, side by side with pm2-runtime: memory, processor time, lines per second, restart, stop, first line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import proc
from benchmarks.idle import measure_idle
from benchmarks.lines import measure_lines
from benchmarks.moments import measure_restarts, measure_starts_and_stops
from benchmarks.parts import set_up_parts
from benchmarks.table import Figure, print_figures, status_of

_GROUPS = ("idle", "lines", "restart", "stop")


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervision", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--only", choices=_GROUPS, action="append", help="measure this group alone; repeatable")
    parser.add_argument("--idle-s", type=float, default=60.0, metavar="S", help="watch idleness for so long (60)")
    parser.add_argument("--lines", type=int, default=300_000, metavar="N", help="lines per flood (300,000)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="floods per side (3)")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="restarts and stops per side (20)")
    parser.add_argument("--program", type=Path, help="the directus-supervisor to measure; default: this tree")
    options = parser.parse_args()
    groups = options.only or _GROUPS

    print(f"load at the start: {proc.load()}", file=sys.stderr)
    figures: list[Figure] = []
    with set_up_parts(options.program) as parts:
        if "idle" in groups:
            figures += measure_idle(parts, options.idle_s)
        if "lines" in groups:
            figures += measure_lines(parts, options.lines, options.repeats)
        if "restart" in groups:
            figures += measure_restarts(parts, options.rounds)
        if "stop" in groups:
            figures += measure_starts_and_stops(parts, options.rounds)
    print_figures("Supervision", figures)
    return status_of(figures, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
