"""Memory and processor time of the supervising process while Directus idles, both sides at the same time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks import proc
from benchmarks.parts import Parts
from benchmarks.table import Figure
from benchmarks.watched import MeasurementError, Watched

_SETTLE_S: Final = 5.0
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Idle:
    rss_mb: float
    pss_mb: float
    cpu_ms: float
    wakeups: float


def measure_idle(parts: Parts, idle_s: float) -> list[Figure]:
    """Start both sides with the real Directus, let them settle, and watch them for `idle_s` seconds.

    Args:
        parts: where deployments come from.
        idle_s: how long; the figures are given per 60 s.
    """
    ours, theirs = parts.warm(), parts.warm()
    with ExitStack() as stack:
        running = [stack.enter_context(Watched(command)) for command in (ours.ours("run"), theirs.pm2())]
        for side, watched in zip((ours, theirs), running, strict=True):
            side.wait_until_ready(watched)
        time.sleep(_SETTLE_S)
        mine, pm2 = _watch([_supervising(watched) for watched in running], idle_s)
    return [
        Figure(name="resident memory, idle, MB", ours=mine.rss_mb, theirs=pm2.rss_mb, beside="pm2-runtime", at_most=45),
        Figure(name="proportional memory (PSS), idle, MB", ours=mine.pss_mb, theirs=pm2.pss_mb, beside="pm2-runtime"),
        Figure(
            name="processor time over 60 idle s, ms",
            ours=mine.cpu_ms,
            theirs=pm2.cpu_ms,
            beside="pm2-runtime",
            at_most=60,
            note="" if idle_s == _MINUTE_S else f"watched for {idle_s:g} s",
        ),
        Figure(name="wake-ups over 60 idle s", ours=mine.wakeups, theirs=pm2.wakeups, beside="pm2-runtime"),
    ]


def _supervising(watched: Watched) -> list[int]:
    """The processes above Directus: those of the tree that are not Directus and have it below them."""
    family = [watched.pid, *proc.descendants(watched.pid)]
    above = [pid for pid in family if len(proc.children(pid)) > 0]
    if not above:
        raise MeasurementError(f"nothing is supervised:\n{watched.tail()}")
    return above


def _watch(sides: list[list[int]], idle_s: float) -> list[_Idle]:
    before = [[(proc.cpu_ms(pid), proc.switches(pid)) for pid in pids] for pids in sides]
    time.sleep(idle_s)
    scale = _MINUTE_S / idle_s
    results = []
    for pids, earlier in zip(sides, before, strict=True):
        cpu = sum(proc.cpu_ms(pid) - ms for pid, (ms, _) in zip(pids, earlier, strict=True))
        wakeups = sum(proc.switches(pid) - count for pid, (_, count) in zip(pids, earlier, strict=True))
        results.append(_Idle(sum(map(proc.rss_mb, pids)), sum(map(proc.pss_mb, pids)), cpu * scale, wakeups * scale))
    return results
