"""How fast a probe is answered, and how late PID 1 is under floods: from an orphan's death until it is reaped.

usage: python -m benchmarks.health [--orphans N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import anyio

from benchmarks import proc
from supervisor.dev.node import find_node
from supervisor.dev.postgres import PostgresCluster
from tests.harness import Deployment, Supervised

_MEASURE: Final = Path(__file__).parents[1] / "tests" / "programs" / "measure_reaps.py"
_GOAL_MS: Final = 50.0
_ASKED: Final = 5000
_REQUEST: Final = b"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n"
_Flood = Callable[[int], Awaitable[None]]


async def _nothing(_port: int) -> None:
    await asyncio.sleep(0.2)


async def _probes(port: int) -> None:
    """10,000 probe requests over 50 connections."""

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(200):
            writer.write(_REQUEST)
            await reader.readuntil(b"}\n")
        writer.close()

    await asyncio.gather(*(ask() for _ in range(50)), return_exceptions=True)


async def _half_open(port: int) -> None:
    """200 connections that begin a request and leave it."""
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for _, writer in pairs:
        writer.write(b"GET /rea")
    await asyncio.sleep(0.1)
    for _, writer in pairs:
        writer.close()


async def _garbage(port: int) -> None:
    """64 KiB of what is no request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes(range(256)) * 256)
    await reader.read(4096)
    writer.close()


def _answer_times(port: int, requests: int) -> list[float]:
    """Milliseconds from sending a probe to having its answer, sorted; one connection, one request at a time."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(requests):
            began = time.perf_counter()
            client.sendall(_REQUEST)
            answer = b""
            while not answer.endswith(b"}\n"):
                answer += client.recv(65536)
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def _delays(process: Supervised) -> list[float]:
    said = [record["message"] for record in process.of("process.output", process="directus")]
    return [float(text.split()[-1]) * 1000 for text in said if text.startswith("reaped after")]


@contextmanager
def _running() -> Iterator[Supervised]:
    cluster = PostgresCluster(durable=False)
    anyio.run(cluster.start)
    try:
        anyio.run(cluster.create_database, "health")
        with tempfile.TemporaryDirectory() as folder:
            deployment = Deployment.with_stand_in(Path(folder), cluster.directus_env("health"), find_node().node)
            deployment.environ["SUPERVISOR_COMMAND"] = f"{sys.executable} {_MEASURE}"
            deployment.environ["SUPERVISOR_READY_TIMEOUT_S"] = "3600"
            # The line for each orphan at level debug would be measured, too.
            deployment.environ["SUPERVISOR_LOG_LEVEL"] = "info"
            with deployment.start("run") as process:
                yield process
    finally:
        anyio.run(cluster.remove)


@asynccontextmanager
async def _flooding(flood: _Flood, port: int) -> AsyncIterator[None]:
    async def again() -> None:
        while True:
            try:
                await flood(port)
            except OSError:
                await asyncio.sleep(0)

    task = asyncio.ensure_future(again())
    yield
    task.cancel()
    await asyncio.wait([task])


async def _measure(process: Supervised, port: int, flood: _Flood, orphans: int) -> list[float]:
    async with _flooding(flood, port):
        before = len(_delays(process))
        while len(_delays(process)) < before + orphans:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        return sorted(_delays(process)[before:])


def main() -> int:
    """Measure, and print a row for each flood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orphans", type=int, default=100)
    orphans = parser.parse_args().orphans
    print(f"load: {proc.load()}; goal: below {_GOAL_MS:g} ms")
    with _running() as process:
        port = int(process.wait_for("health.listening")["port"])
        process.wait_for("process.started", process="directus")
        times = _answer_times(port, _ASKED)
        print(f"a probe is answered in median {times[_ASKED // 2]:.2f} ms, 99th {times[_ASKED * 99 // 100]:.2f} ms")
        for flood in (_nothing, _probes, _half_open, _garbage):
            began = time.monotonic()
            delays = asyncio.run(_measure(process, port, flood, orphans))
            spent = time.monotonic() - began
            print(
                f"{flood.__name__.strip('_'):<10} median {delays[len(delays) // 2]:6.2f} ms, "
                f"99th {delays[int(len(delays) * 0.99)]:6.2f} ms, longest {delays[-1]:6.2f} ms, "
                f"resident {proc.rss_mb(process.process.pid):.1f} MB, {spent:.0f} s"
            )
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
