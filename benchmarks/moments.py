"""Short moments: death to restart, SIGTERM to the end, exec to the first line."""

from __future__ import annotations

import os
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.deployment import Deployment
from benchmarks.parts import Parts
from benchmarks.table import Figure
from benchmarks.watched import Command, MeasurementError, Watched

_TELL: Final = Path(__file__).parent / "programs" / "tell.sh"
# The supervisor has done with the start by then, and pm2 counts a life of 100 ms (the least it can be told) as stable.
_SETTLE_S: Final = 0.2
_LIMIT_S: Final = 30.0


class _Pipe:
    """The named pipe on which the child says its pid as its first act."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for writing too: between two children the pipe must not end.
        self._descriptor = os.open(path, os.O_RDWR)

    def next_child(self, parent: Watched | None = None) -> tuple[int, float]:
        """Wait for the next child: its pid, and the monotonic seconds at which it spoke.

        Raises:
            MeasurementError: when none speaks in time.
        """
        readable, _, _ = select.select([self._descriptor], [], [], _LIMIT_S)
        spoke_s = time.monotonic()
        if not readable:
            raise MeasurementError(f"no child within {_LIMIT_S:g} s" + (f":\n{parent.tail()}" if parent else ""))
        return int(os.read(self._descriptor, 64).split()[-1]), spoke_s

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


@contextmanager
def _telling(parts: Parts) -> Iterator[tuple[Deployment, _Pipe]]:
    deployment = parts.warm()
    path = deployment.folder / "tell"
    pipe = _Pipe(path)
    variables = {"SUPERVISOR_RESTART_BACKOFF_S": "0", "SUPERVISOR_RESTART_LIMIT": "1000"}
    variables |= {"PM2_AUTO_RESTART": "true", "PM2_MIN_UPTIME": "100", "PM2_MAX_RESTARTS": "1000"}
    try:
        yield deployment.running(str(_TELL), TELL=str(path), **variables), pipe
    finally:
        pipe.close()


def measure_restarts(parts: Parts, rounds: int) -> list[Figure]:
    """From SIGKILL of the child to the first act of its replacement, without any backoff.

    Args:
        parts: where deployments come from.
        rounds: deaths per side; the median counts.
    """
    with _telling(parts) as (side, pipe):
        # Our own settings must not reach the other side, where they mean other things.
        ours = _without(side, "PM2_")
        mine = [_deaths(ours.ours("run"), pipe, rounds), _deaths(side.pm2(), pipe, rounds)]
    return [
        Figure(
            name="death of the child to its replacement's exec, ms",
            ours=statistics.median(mine[0]) * 1000,
            theirs=statistics.median(mine[1]) * 1000,
            beside="pm2-runtime",
            at_most=20,
            note=f"slowest {max(mine[0]) * 1000:.1f} and {max(mine[1]) * 1000:.1f}",
        )
    ]


def _deaths(command: Command, pipe: _Pipe, rounds: int) -> list[float]:
    spans = []
    with Watched(command) as watched:
        pid, _ = pipe.next_child(watched)
        for _ in range(rounds):
            time.sleep(_SETTLE_S)
            killed_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            pid, spoke_s = pipe.next_child(watched)
            spans.append(spoke_s - killed_s)
    return spans


def measure_starts_and_stops(parts: Parts, rounds: int) -> list[Figure]:
    """From exec to the first log line, and from SIGTERM to the end beyond what the child itself needs.

    Args:
        parts: where deployments come from.
        rounds: runs per side; the medians count.
    """
    with _telling(parts) as (side, pipe):
        ours = _without(side, "PM2_")
        child_s = statistics.median(_child_alone(side, pipe) for _ in range(rounds))
        # The first run of each side warms the file cache and writes the bytecode, as an image has it.
        mine = [_one_run(ours.ours("run"), pipe) for _ in range(rounds + 1)][1:]
        pm2 = [_one_run(side.pm2(), pipe) for _ in range(rounds + 1)][1:]
    first = [statistics.median(run[0] for run in runs) * 1000 for runs in (mine, pm2)]
    stop = [max(0.0, statistics.median(run[1] for run in runs) - child_s) * 1000 for runs in (mine, pm2)]
    return [
        Figure(
            name="stop, beyond what the child needs, ms",
            ours=stop[0],
            theirs=stop[1],
            beside="pm2-runtime",
            at_most=50,
            note=f"the child alone needs {child_s * 1000:.2f}",
        ),
        Figure(
            name="exec to the first log line, ms", ours=first[0], theirs=first[1], beside="pm2-runtime", at_most=250
        ),
    ]


def _one_run(command: Command, pipe: _Pipe) -> tuple[float, float]:
    with Watched(command) as watched:
        first_s = watched.wait_for_output(b"\n") - watched.started_s
        pipe.next_child(watched)
        time.sleep(_SETTLE_S)
        return first_s, watched.stop()


def _child_alone(side: Deployment, pipe: _Pipe) -> float:
    child = subprocess.Popen([str(_TELL)], env=dict(side.environ))  # noqa: S603 - our own program
    pipe.next_child()
    time.sleep(_SETTLE_S)
    began = time.monotonic()
    child.terminate()
    child.wait()
    return time.monotonic() - began


def _without(side: Deployment, prefix: str) -> Deployment:
    environ = {name: value for name, value in side.environ.items() if not name.startswith(prefix)}
    return Deployment(side.folder, side.tools, environ)
