"""A child's output: cut into lines without loss, read no faster than the log takes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.sink import LineSink
from supervisor.process.output import Line, LineSplitter, OutputReader


def joined(lines: list[Line]) -> bytes:
    return b"".join(line.data + (b"" if line.partial else b"\n") for line in lines)


@given(st.lists(st.binary(max_size=40) | st.just(b"\n") | st.just(b"a" * 9), max_size=30), st.integers(1, 12))
def test_joining_the_lines_gives_the_input_back(chunks: list[bytes], longest: int) -> None:
    splitter = LineSplitter(longest)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()
    assert joined(lines) == b"".join(chunks)
    assert all(len(line.data) <= longest and b"\n" not in line.data for line in lines)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6), st.integers(1, 12))
def test_where_the_reads_fall_makes_no_difference(data: bytes, cuts: list[int], longest: int) -> None:
    whole, piecewise = LineSplitter(longest), LineSplitter(longest)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    lines = [line for piece in pieces for line in piecewise.feed(piece)] + piecewise.finish()
    assert lines == whole.feed(data) + whole.finish()


def test_a_line_over_the_limit_comes_in_marked_parts() -> None:
    lines = LineSplitter(4).feed(b"abcdefghij\nxyz\n")
    assert lines == [Line(b"abcd", partial=True), Line(b"efgh", partial=True), Line(b"ij"), Line(b"xyz")]


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    assert LineSplitter(4).feed(b"abcd\n") == [Line(b"abcd")]


def test_an_unfinished_last_line_is_marked() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"done\nunfin") == [Line(b"done")]
    assert splitter.finish() == [Line(b"unfin", partial=True)]
    assert splitter.finish() == []


def test_empty_lines_are_lines() -> None:
    assert LineSplitter().feed(b"\n\n") == [Line(b""), Line(b"")]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe; the reading end belongs to the reader, the writing end is closed here if it is still open."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        with suppress(OSError):
            os.close(writing)


def sink_to_nowhere() -> LineSink:
    return LineSink(os.open(os.devnull, os.O_WRONLY))


class FullSink(LineSink):
    """A sink that is full until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.asked = anyio.Event()
        self.free = anyio.Event()

    @property
    def full(self) -> bool:
        return not self.free.is_set()

    async def room(self) -> None:
        self.asked.set()
        await self.free.wait()


@pytest.mark.anyio
async def test_every_line_arrives_in_order() -> None:
    lines: list[Line] = []
    expected = [f"line {number}".encode() for number in range(50_000)]
    with pipe() as (reading, writing):
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, lines.append, sink_to_nowhere()).copy)

            def write() -> None:
                with os.fdopen(os.dup(writing), "wb") as file:
                    file.write(b"\n".join(expected) + b"\n")
                os.close(writing)

            await anyio.to_thread.run_sync(write)
    assert [line.data for line in lines] == expected
    assert not any(line.partial for line in lines)


@pytest.mark.anyio
async def test_a_full_sink_stops_the_reading_and_nothing_is_lost() -> None:
    lines: list[Line] = []
    sink = FullSink()
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, lines.append, sink).copy)
            with anyio.fail_after(20):
                await sink.asked.wait()
            written = 0
            with suppress(BlockingIOError):
                while written < 10_000_000:
                    written += os.write(writing, b"x" * 99 + b"\n")
            assert 0 < written < 10_000_000
            assert not lines, "it was read although the sink is full"
            sink.free.set()
            os.close(writing)
    assert sum(len(line.data) + (not line.partial) for line in lines) == written


@pytest.mark.anyio
async def test_a_cancelled_copy_takes_what_is_there_although_somebody_holds_the_pipe() -> None:
    lines: list[Line] = []
    arrived = anyio.Event()

    def consume(line: Line) -> None:
        lines.append(line)
        arrived.set()

    with pipe() as (reading, writing):
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, consume, sink_to_nowhere()).copy)
            os.write(writing, b"first\n")
            await arrived.wait()
            os.write(writing, b"last words\nand half a li")
            group.cancel_scope.cancel()
    assert lines == [Line(b"first"), Line(b"last words"), Line(b"and half a li", partial=True)]


@pytest.mark.anyio
async def test_a_copy_cancelled_while_the_sink_is_full_still_takes_what_is_there() -> None:
    lines: list[Line] = []
    sink = FullSink()
    with pipe() as (reading, writing):
        os.write(writing, b"why it died\n")
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, lines.append, sink).copy)
            with anyio.fail_after(20):
                await sink.asked.wait()
            group.cancel_scope.cancel()
    assert lines == [Line(b"why it died")]


@pytest.mark.anyio
async def test_the_pipe_is_closed_at_the_end() -> None:
    with pipe() as (reading, writing):
        os.close(writing)
        await OutputReader(reading, lambda _line: None, sink_to_nowhere()).copy()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(reading)


@pytest.mark.anyio
async def test_bytes_that_are_no_text_pass_unchanged() -> None:
    lines: list[Line] = []
    odd = b"\xff\xfe\x00\x80 and \xc3"
    with pipe() as (reading, writing):
        os.write(writing, odd + b"\n")
        os.close(writing)
        await OutputReader(reading, lines.append, sink_to_nowhere()).copy()
    assert lines == [Line(odd)]
