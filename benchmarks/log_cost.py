"""What a line of the log costs in processor time, beside writing it: events of our own, and lines of processes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks.programs import flood
from benchmarks.table import Figure, print_figures, status_of
from supervisor.directus.commands import OutputLog
from supervisor.logs import events, setup
from supervisor.logs.sink import LineSink
from supervisor.process.output import LineSplitter
from supervisor.status.recorder import Recorder

_READ_BYTES = 64 * 1024
_SECRETS = ("directus-password", "3f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c", "admin-password-12345", "another-secret-value")


class _Nowhere(LineSink):
    """Takes everything at once."""

    def write(self, data: bytes, lines: int = 1) -> bool:
        """Take lines."""
        return bool(data and lines)


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.log_cost", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--lines", type=int, default=20_000, metavar="N", help="lines a round (20,000)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="the best one counts (9)")
    options = parser.parse_args()
    setup.set_up("json", "info")
    setup.sink = _Nowhere(-1)  # type: ignore[misc]
    setup.redactor.know(_SECRETS)
    log = setup.get_log("migrations")

    def own() -> None:
        for _ in range(options.lines):
            log.emit(events.SQL_APPLIED, file="pre-schema/001_positions.sql", duration_s=0.123)

    def best_us(work: Callable[[], None]) -> float:
        return min(_cpu_s(work) for _ in range(options.rounds)) / options.lines * 1e6

    figures = [Figure(name="own event, µs", ours=best_us(own), at_most=10)]
    with setup.heard_by(Recorder()):
        figures.append(Figure(name="own event, heard by the status page, µs", ours=best_us(own)))
        figures += [
            Figure(name=f"{kind} line of a process, µs", ours=best_us(_lines(kind, options.lines)))
            for kind in ("pino", "plain")
        ]
    print_figures("Cost of the log, processor time", figures)
    return status_of(figures, check=options.check)


def _lines(kind: str, count: int) -> Callable[[], None]:
    data = "".join(flood.line(kind, number) + "\n" for number in range(count)).encode()
    reads = [data[start : start + _READ_BYTES] for start in range(0, len(data), _READ_BYTES)]
    output = OutputLog("directus", "directus")

    def consume() -> None:
        splitter = LineSplitter(redactor=setup.redactor)
        for read in reads:
            for batch in splitter.feed(read):
                output.consume("stdout", 1, batch)

    return consume


def _cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
