"""The log's way out: it never blocks, keeps the order, stays bounded, and outlives its reader."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from supervisor.logs import setup
from supervisor.logs.sink import HIGH_WATER_BYTES, LineSink


class Pipe:
    """A pipe whose reader takes nothing until it is asked to."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.reading, size - len(data))
        return data

    def read_line(self) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            data += os.read(self.reading, 1)
        return data

    def close_reader(self) -> None:
        os.close(self.reading)
        self.reading = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    if pipe.reading >= 0:
        pipe.close_reader()


PIPE_BYTES = 64 * 1024  # pipe(7)
LINE = b"x" * 999 + b"\n"


def fill(sink: LineSink) -> int:
    """Write so much that the sink stays full even when the pipe has taken all that it can; how many lines that took."""
    count = (HIGH_WATER_BYTES + 4 * PIPE_BYTES) // len(LINE)
    for _ in range(count):
        sink.write(LINE)
    assert sink.full
    return count


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    lines = [f"{number}\n".encode() for number in range(1000)]
    for line in lines:
        sink.write(line)
    assert sink.flush(10)
    assert pipe.read(sum(map(len, lines))) == b"".join(lines)


def test_a_stalled_stream_blocks_no_write_and_loses_no_line(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    lines = [f"{number:099d}\n".encode() for number in range(20_000)]
    for line in lines:
        sink.write(line)
    assert sink.full
    assert pipe.read(sum(map(len, lines))) == b"".join(lines)
    assert sink.flush(10)
    assert sink.dropped_lines == 0


@pytest.mark.anyio
async def test_the_event_loop_runs_on_while_the_stream_is_stalled(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    fill(sink)
    with anyio.fail_after(10):
        for _ in range(100):
            sink.write(LINE)
            await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_room_waits_while_the_sink_is_full_and_wakes_when_it_is_not(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    count = fill(sink)
    woken = anyio.Event()

    async def wait() -> None:
        await sink.room()
        woken.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not woken.is_set()
            await anyio.to_thread.run_sync(pipe.read, count * len(LINE))
    assert not sink.full


@pytest.mark.anyio
async def test_room_returns_at_once_when_there_is_some(pipe: Pipe) -> None:
    with anyio.fail_after(1):
        await LineSink(pipe.writing).room()


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [True, False])
async def test_a_reader_that_goes_away_frees_whoever_waits_for_room(pipe: Pipe, blocking: bool) -> None:
    os.set_blocking(pipe.writing, blocking)
    sink = LineSink(pipe.writing)
    fill(sink)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(sink.room)
            await anyio.wait_all_tasks_blocked()
            pipe.close_reader()
    assert sink.closed


def test_a_closed_reader_raises_nothing_and_later_lines_are_counted(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    pipe.close_reader()
    sink.write(LINE)
    while not sink.closed:
        sink.flush(10)
    sink.write(LINE)
    assert sink.dropped_lines == 1
    assert sink.flush(10)


def test_a_descriptor_that_is_not_open_raises_nothing(pipe: Pipe) -> None:
    sink = LineSink(10_000)
    sink.write(LINE)
    sink.flush(10)
    assert sink.closed


def test_a_non_blocking_stream_is_written_completely(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    sink = LineSink(pipe.writing)
    count = fill(sink)
    assert pipe.read(count * len(LINE)) == LINE * count
    assert sink.flush(10)


def test_lines_beyond_the_hard_limit_are_counted(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing, high_water_bytes=1000, hard_limit_bytes=200 * len(LINE))
    for _ in range(1000):
        sink.write(LINE)
    kept = 1000 - sink.dropped_lines
    # What the pipe itself holds has left the buffer.
    assert 200 <= kept < 1000
    assert pipe.read(kept * len(LINE)) == LINE * kept


def test_lines_that_were_not_taken_are_told_of_once_there_is_room(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LineSink(pipe.writing, high_water_bytes=1000, hard_limit_bytes=200 * len(LINE))
    told = threading.Event()

    def tell() -> None:
        if setup._tell_dropped():
            told.set()

    monkeypatch.setattr(setup, "sink", sink)
    monkeypatch.setattr(setup, "_told_dropped", 0)
    sink.on_room = tell
    for _ in range(1000):
        sink.write(LINE)
    dropped = sink.dropped_lines
    pipe.read((1000 - dropped) * len(LINE))
    assert told.wait(20), "nobody was told"
    setup.close()
    record = json.loads(pipe.read_line())
    assert (record["event"], record["lines"]) == ("log.lines_dropped", dropped)
    assert not setup._tell_dropped(), "it is told once"


def test_a_flush_gives_up_on_a_stalled_stream(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    fill(sink)
    began = time.monotonic()
    assert not sink.flush(0.05)
    assert time.monotonic() - began < 5


def test_a_flush_waits_for_a_slow_reader_as_long_as_it_takes_something(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    count = fill(sink)
    data: list[bytes] = []

    def read_slowly() -> None:
        left = count * len(LINE)
        while left:
            data.append(pipe.read(min(left, 16_384)))
            left -= len(data[-1])
            time.sleep(0.03)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    assert sink.flush(0.5, 60)
    reader.join()
    assert b"".join(data) == LINE * count


def test_a_flush_of_a_slow_reader_has_an_end(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    fill(sink)
    stop = threading.Event()

    def read_slowly() -> None:
        while not stop.is_set():
            pipe.read(1000)
            time.sleep(0.02)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    assert not sink.flush(0.5, 0.8)
    stop.set()
    reader.join()


def test_a_flush_of_nothing_is_done(pipe: Pipe) -> None:
    assert LineSink(pipe.writing).flush(0)


def test_a_file_is_a_stream_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    sink = LineSink(descriptor)
    sink.write(b"one\n")
    assert sink.flush(10)
    os.close(descriptor)
    assert path.read_bytes() == b"one\n"
