"""How small and how fast `exec --` is: beside a plain Python init, tini and dumb-init, in one run.

For each: the time from the exec of the init to the first byte that its command writes, less what the command needs
without any init, and the resident memory of the init while the command waits. The inits take turns, so that a busy
machine is unfair to none. What is not installed is left out.

Run: python benchmarks/exec_footprint.py [ROUNDS]
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

_PLAIN_INIT = "import os, sys; p = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); os.waitpid(p, 0)"
_SCRIPT = Path(sys.executable).with_name("directus-supervisor")

# A program that costs next to nothing itself: it says a word and stays until its stdin ends.
_COMMAND = ["sh", "-c", "echo ready; read line"]


def _inits() -> dict[str, list[str]]:
    found = {
        "directus-supervisor exec": [str(_SCRIPT), "exec", "--"],
        "python -I -m supervisor exec": [sys.executable, "-I", "-m", "supervisor", "exec", "--"],
        "plain Python init": [sys.executable, "-c", _PLAIN_INIT],
    }
    if tini := shutil.which("tini"):
        found["tini -s"] = [tini, "-s", "--"]
    if dumb_init := shutil.which("dumb-init"):
        found["dumb-init"] = [dumb_init, "--"]
    found["no init"] = []
    return found


def _measure(init: list[str]) -> tuple[float, float]:
    """Milliseconds from our spawn to the first byte of the command, and MB of the init (0 without one)."""
    began = time.perf_counter()
    with subprocess.Popen([*init, *_COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        stdout.readline()
        passed_ms = (time.perf_counter() - began) * 1e3
        resident = 0.0
        if init:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
            match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
            resident = int(match[1]) / 1024 if match else 0.0
        stdin.write(b"\n")
        stdin.close()
    return passed_ms, resident


def main() -> None:
    """Print one row of medians for each init."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 30
    inits = _inits()
    times: dict[str, list[float]] = {name: [] for name in inits}
    sizes: dict[str, list[float]] = {name: [] for name in inits}
    for _ in range(rounds):
        for name, init in inits.items():
            passed_ms, resident = _measure(init)
            times[name].append(passed_ms)
            sizes[name].append(resident)

    # What the command itself needs to say its word belongs to no init.
    own_ms = statistics.median(times.pop("no init"))
    plain_ms = statistics.median(times["plain Python init"]) - own_ms
    plain_mb = statistics.median(sizes["plain Python init"])
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {rounds} rounds; medians, ratios to the plain init"
    )
    print(f"{'init':<30} {'to exec, ms':>12} {'p90':>7} {'ratio':>6} {'RSS, MB':>9} {'ratio':>6}")
    for name, samples in times.items():
        to_exec = statistics.median(samples) - own_ms
        p90 = sorted(samples)[int(len(samples) * 0.9)] - own_ms
        resident = statistics.median(sizes[name])
        print(
            f"{name:<30} {to_exec:>12.1f} {p90:>7.1f} {to_exec / plain_ms:>6.2f}"
            f" {resident:>9.1f} {resident / plain_mb:>6.2f}"
        )


if __name__ == "__main__":
    main()
