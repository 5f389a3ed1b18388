"""A child's output: cut into lines without loss, read no faster than the log takes it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.redact import Redactor
from supervisor.logs.sink import LineSink
from supervisor.process.output import Batch, LineSplitter, OutputReader


class Line(NamedTuple):
    """One line and whether it goes on."""

    data: bytes
    partial: bool = False


def each(batches: list[Batch]) -> list[Line]:
    """The lines of batches, one by one."""
    lines = []
    for batch in batches:
        *whole, last = batch.lines
        lines += [*map(Line, whole), Line(last, batch.partial)]
    return lines


def joined(lines: list[Line]) -> bytes:
    return b"".join(line.data + (b"" if line.partial else b"\n") for line in lines)


@given(st.lists(st.binary(max_size=40) | st.just(b"\n") | st.just(b"a" * 9), max_size=30), st.integers(1, 12))
def test_joining_the_lines_gives_the_input_back(chunks: list[bytes], longest: int) -> None:
    splitter = LineSplitter(longest)
    lines = each([batch for chunk in chunks for batch in splitter.feed(chunk)] + splitter.finish())
    assert joined(lines) == b"".join(chunks)
    assert all(len(line.data) <= longest and b"\n" not in line.data for line in lines)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6), st.integers(1, 12))
def test_where_the_reads_fall_makes_no_difference(data: bytes, cuts: list[int], longest: int) -> None:
    whole, piecewise = LineSplitter(longest), LineSplitter(longest)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    lines = each([batch for piece in pieces for batch in piecewise.feed(piece)] + piecewise.finish())
    assert lines == each(whole.feed(data) + whole.finish())


def test_a_line_over_the_limit_comes_in_marked_parts() -> None:
    lines = each(LineSplitter(4).feed(b"abcdefghij\nxyz\n"))
    assert lines == [Line(b"abcd", partial=True), Line(b"efgh", partial=True), Line(b"ij"), Line(b"xyz")]


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    assert each(LineSplitter(4).feed(b"abcd\n")) == [Line(b"abcd")]


@given(st.text(st.sampled_from("a€é😀\r"), max_size=60), st.integers(4, 12))
def test_no_character_is_torn_in_two(text: str, longest: int) -> None:
    splitter = LineSplitter(longest)
    lines = each(splitter.feed(text.encode() + b"\n"))
    assert "".join(line.data.decode("utf-8") for line in lines) == text


def test_what_is_no_character_is_cut_all_the_same() -> None:
    lines = each(LineSplitter(4).feed(b"\x80" * 10 + b"\n"))
    assert lines == [Line(b"\x80" * 4, partial=True), Line(b"\x80" * 4, partial=True), Line(b"\x80" * 2)]


def test_an_unfinished_last_line_is_marked() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"done\nunfin") == [Batch([b"done"])]
    assert splitter.finish() == [Batch([b"unfin"], partial=True)]
    assert splitter.finish() == []


def test_empty_lines_are_lines() -> None:
    assert LineSplitter().feed(b"\n\n") == [Batch([b"", b""])]


SECRETS = Redactor(["hunter-22", "päss/wört"])


@given(
    st.lists(st.sampled_from(["hunter-22", "päss/wört", "://u:pw@", "Bearer abc1234", "x", "€", "."]), max_size=40),
    st.lists(st.integers(0, 400), max_size=5),
    st.integers(16, 40),
)
def test_no_secret_is_torn_where_a_long_line_is_cut(words: list[str], cuts: list[int], longest: int) -> None:
    data = "  ".join(words).encode()
    whole, piecewise = LineSplitter(longest, SECRETS), LineSplitter(longest, SECRETS)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    batches = [batch for start, end in pairwise(edges) for batch in piecewise.feed(data[start:end])]
    lines = each(batches + piecewise.feed(b"\n") + piecewise.finish())
    assert lines == each(whole.feed(data + b"\n"))
    assert b"".join(line.data for line in lines) == data
    shown = "".join(SECRETS.text(line.data.decode()) for line in lines)
    assert shown == SECRETS.text(data.decode())


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
            group.start_soon(OutputReader(reading, lambda batch: lines.extend(each([batch])), sink_to_nowhere()).copy)

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
            group.start_soon(OutputReader(reading, lambda batch: lines.extend(each([batch])), sink).copy)
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

    def consume(batch: Batch) -> None:
        lines.extend(each([batch]))
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
            group.start_soon(OutputReader(reading, lambda batch: lines.extend(each([batch])), sink).copy)
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
        await OutputReader(reading, lambda batch: lines.extend(each([batch])), sink_to_nowhere()).copy()
    assert lines == [Line(odd)]


class SmallSink(LineSink):
    """A sink with room for so many batches at a time; who has waited longest is woken first."""

    def __init__(self, room: int) -> None:
        super().__init__(-1)
        self.left = room
        self.asked = anyio.Event()
        self._waiting: deque[anyio.Event] = deque()

    @property
    def full(self) -> bool:
        return self.left <= 0

    async def room(self) -> None:
        self.asked.set()
        while self.full:
            self._waiting.append(event := anyio.Event())
            await event.wait()

    async def grant(self, room: int) -> None:
        """Make room for so many batches, and wait until it is used."""
        self.left = room
        if self._waiting:
            self._waiting.popleft().set()
        await anyio.wait_all_tasks_blocked()


@pytest.mark.anyio
async def test_a_sink_that_fills_up_within_one_read_is_heeded() -> None:
    lines: list[Line] = []
    sink = SmallSink(2)

    def consume(batch: Batch) -> None:
        assert not sink.full
        lines.extend(each([batch]))
        sink.left -= 1

    with pipe() as (reading, writing):
        os.write(writing, b"\n" * 1000)
        os.close(writing)
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, consume, sink).copy)
            with anyio.fail_after(20):
                await sink.asked.wait()
                assert 2 <= len(lines) < 1000
                while len(lines) < 1000:
                    await sink.grant(1)
                await sink.grant(1)
    assert lines == [Line(b"")] * 1000


@pytest.mark.anyio
async def test_what_was_read_first_is_told_first_also_when_the_sink_fills_up_between() -> None:
    lines: list[bytes] = []
    sink = SmallSink(1)
    turn = asyncio.Lock()

    def consume(batch: Batch) -> None:
        lines.extend(batch.lines)
        sink.left -= 1

    with pipe() as (first, into_first), pipe() as (second, into_second):
        os.write(into_first, b"first\n" * 1000)
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(first, consume, sink, turn).copy)
            with anyio.fail_after(20):
                await sink.asked.wait()
                assert 0 < len(lines) < 1000
                os.write(into_second, b"second\n")
                group.start_soon(OutputReader(second, consume, sink, turn).copy)
                await anyio.wait_all_tasks_blocked()
                while len(lines) < 1001:
                    await sink.grant(1)
                await sink.grant(10)
                await sink.grant(10)
            os.close(into_first)
            os.close(into_second)
    assert lines == [b"first"] * 1000 + [b"second"]


@pytest.mark.anyio
async def test_a_copy_cancelled_within_a_read_takes_the_rest_of_it_and_of_a_pipe_of_any_size() -> None:
    lines: list[Line] = []
    sink = SmallSink(1)

    def consume(batch: Batch) -> None:
        lines.extend(each([batch]))
        sink.left -= 1

    with pipe() as (reading, writing):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(writing, False)
        written = os.write(writing, b"line\n" * 200_000)
        async with anyio.create_task_group() as group:
            group.start_soon(OutputReader(reading, consume, sink).copy)
            with anyio.fail_after(20):
                await sink.asked.wait()
            group.cancel_scope.cancel()
    assert written == 1_000_000
    assert lines == [Line(b"line")] * 200_000
