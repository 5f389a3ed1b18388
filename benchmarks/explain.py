"""How fast `explain` reads a log of a gigabyte, nearly all of it requests, and how much memory it takes for it.

Run: python -m benchmarks.explain [--megabytes N] [--check]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.programs import flood
from benchmarks.table import Figure, print_figures, status_of

_MB: Final = 1_000_000
_BEGAN: Final = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
_REQUESTS_A_LIFE: Final = 20_000
_PHASES: Final = ("wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema")
_FRAMES: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda line: line,
    "docker json-file": lambda line: json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": "2026-01-31T03:00:00.000000001Z"}, separators=(",", ":")
    ),
    "containerd": lambda line: f"2026-01-31T03:00:00.000000001Z stdout F {line}",
    "docker compose": lambda line: f"directus-1  | {line}",
}


class _Boot:
    """Writes the lines of one boot after the other."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - no secret
        self._at = _BEGAN
        self._seq = 0
        self._boot_id = ""

    def lines(self) -> Iterator[str]:
        """Boots without end, each with requests, a crash, and a stop."""
        while True:
            self._boot_id, self._seq = f"{self._random.getrandbits(48):012x}", 0
            yield self._line("supervisor.started", version="1.0.0", python="3.11.7", run="run")
            yield self._line("directus.found", version="11.17.4", path="/directus", node="/usr/local/bin/node")
            yield self._line("state.changed", before="starting", state="migrating", reason="the phases run")
            yield self._line("boot.started", database="directus@db:5432/directus", phases=list(_PHASES))
            for phase in _PHASES:
                yield self._line(
                    "phase.finished", phase=phase, outcome="unchanged", summary="as it was", duration_s=0.1
                )
            yield self._line("boot.finished", duration_s=0.5)
            yield self._line("state.changed", before="migrating", state="launching", reason="directus is starting")
            for life in range(3):
                pid = 100 + life
                yield self._line("process.started", process="directus", pid=pid, command=["node", "run.js", "start"])
                yield self._line("process.ready", process="directus", pid=pid, after_s=2.5, how="message")
                yield self._line("state.changed", before="launching", state="ready", reason="directus is ready")
                for number in range(_REQUESTS_A_LIFE):
                    yield self._request(number, pid)
                yield self._line("process.exited", process="directus", pid=pid, signal="SIGKILL", uptime_s=4000.0)
                yield self._line(
                    "process.restarting",
                    level="warning",
                    process="directus",
                    reason="ended with signal SIGKILL",
                    oom=True,
                    delay_s=0.5,
                    restart=life + 1,
                    limit=5,
                )
            yield self._line("signal.received", signal="SIGTERM", action="stop")
            yield self._line("supervisor.stopped", exit_code=0, uptime_s=12_000.0)

    def _request(self, number: int, pid: int) -> str:
        record = json.loads(flood.line("pino", number))
        message = record.pop("msg")
        data = {name: value for name, value in record.items() if name not in {"level", "time", "pid", "hostname"}}
        return self._line("process.output", process="directus", pid=pid, stream="stdout", message=message, data=data)

    def _line(self, event: str, level: str = "info", **fields: Any) -> str:  # noqa: ANN401 - any field
        self._at += timedelta(milliseconds=self._random.randrange(1, 400))
        self._seq += 1
        head = {
            "timestamp": self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "component": "process",
            "boot_id": self._boot_id,
            "seq": self._seq,
        }
        return json.dumps({**head, **fields}, separators=(",", ":"))


def _write(path: Path, size: int, frame: Callable[[str], str]) -> int:
    """Write a log of at least `size` bytes; its true size."""
    written = 0
    with path.open("w", encoding="utf-8", buffering=1 << 20) as file:
        for line in _Boot().lines():
            text = frame(line)
            file.write(text)
            file.write("\n")
            written += len(text) + 1
            if written >= size:
                return written
    return written


def _measure(path: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and megabytes resident at the most."""
    code = (
        "import resource, runpy, sys; sys.argv[0] = 'directus-supervisor'\n"
        "try: runpy.run_module('supervisor', run_name='__main__')\n"
        "finally:\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    sys.stderr.write(f'{used.ru_utime + used.ru_stime} {used.ru_maxrss}')"
    )
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", code, "explain", "--json", str(path)], capture_output=True, text=True, check=False
    )
    took_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu_s, resident_kb = done.stderr.split()
    return took_s, float(cpu_s), int(resident_kb) * 1024 / _MB


def main() -> int:
    """Measure each form of the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in _FRAMES.items():
            path = Path(folder) / "container.log"
            # The frames are read by the same loop: a tenth of the size shows what each of them costs.
            size = _write(path, options.megabytes * _MB // (1 if name == "plain" else 10), frame)
            took_s, cpu_s, resident_mb = _measure(path)
            note = f"{size / _MB / cpu_s:.0f} MB for a second of processor time"
            figures += [
                Figure(
                    name=f"explain, {name}, {size / _MB:.0f} MB: MB/s",
                    ours=size / _MB / took_s,
                    at_least=50,
                    note=note,
                ),
                Figure(name=f"explain, {name}: most resident, MB", ours=resident_mb, at_most=100),
            ]
    print_figures("explain", figures)
    return status_of(figures, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
