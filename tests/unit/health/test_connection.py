"""The health port against clients that mean no good, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.health import connection
from supervisor.health.http import Answer, Handler, Request, Response, plain
from supervisor.health.server import Server, bind, serving
from tests.unit.captured import Captured

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("captured")]

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536
        await anyio.lowlevel.checkpoint()


def answer(request: Request) -> Answer:
    if request.path == "/endless":
        return Response(parts=endless())  # type: ignore[arg-type]
    if request.path == "/broken":
        raise RuntimeError("a bug")
    return plain(200, f"{request.method} {request.path} {len(request.body)}")


@asynccontextmanager
async def listening(handle: Handler = answer) -> AsyncIterator[tuple[Server, int]]:
    with bind("127.0.0.1", 0) as listener:
        async with serving(handle, listener) as server:
            yield server, listener.getsockname()[1]


async def talk(port: int, *data: bytes) -> bytes:
    """Send all of it, and read until the other side closes."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        for part in data:
            await stream.send(part)
        return await read(stream)


async def read(stream: anyio.abc.SocketStream) -> bytes:
    received = b""
    with anyio.fail_after(20):
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


async def test_requests_on_one_connection_are_answered_in_their_order() -> None:
    async with listening() as (_, port):
        last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = await talk(port, GET * 50 + last)
    assert received.count(b"HTTP/1.1 200 OK") == 51
    assert received.endswith(b"GET /last 0\n")


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with listening() as (_, port):
        received = await talk(port, b"GET / HTTP/1.1\r\nX: " + b"x" * (connection.HEAD_BYTES + 1))
    assert received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("length", [b"Content-Length: 9000\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_that_is_too_long_is_refused(length: bytes) -> None:
    body = b"2328\r\n" + b"x" * 9000 + b"\r\n0\r\n\r\n" if b"chunked" in length else b"x" * 9000
    async with listening() as (_, port):
        received = await talk(port, b"POST / HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n" + body)
    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"])
async def test_who_does_not_finish_a_request_is_cut_off(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.2)
    async with listening() as (_, port):
        assert await talk(port, *([start] if start else [])) == b""


async def test_drops_of_a_request_buy_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.3)
    async with listening() as (_, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        with anyio.fail_after(10):
            try:
                while True:
                    await stream.send(b"G")
                    await anyio.sleep(0.02)
            except anyio.BrokenResourceError:
                pass


async def test_an_idle_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.2)
    async with listening() as (_, port):
        assert (await talk(port, GET)).startswith(b"HTTP/1.1 200 OK")


async def test_one_more_connection_takes_the_place_of_the_one_that_waited_longest() -> None:
    async with listening() as (server, port):
        idle = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(70)]
        assert (await talk(port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(
            b"HTTP/1.1 200"
        )
        assert server.turned_away >= 6
        # Long before its time is over.
        with anyio.fail_after(connection.REQUEST_S / 2):
            assert await read(idle[0]) == b""
        for stream in idle:
            await stream.aclose()


async def test_who_does_not_read_a_stream_is_cut_off_in_bounded_memory() -> None:
    made = 0
    over = anyio.Event()

    async def counted() -> AsyncIterator[bytes]:
        nonlocal made
        try:
            async for part in endless():
                made += len(part)
                yield part
        finally:
            over.set()

    async with listening(lambda _request: Response(parts=counted())) as (server, port):  # type: ignore[arg-type]
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.sendall(GET)
            with anyio.fail_after(10):
                await over.wait()
            # What the kernel holds for both sides, and little more.
            assert made < 64 * 1024 * 1024
            assert not server._connections


# Whole requests, pieces of them, and what is neither.
PIECES = st.sampled_from(
    [
        GET,
        b"GET / HTTP/1.1\r\n",
        b"HEAD /x HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ]
) | st.binary(max_size=64)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=8))
async def test_whatever_bytes_come_the_next_client_is_answered(captured: Captured, parts: list[bytes]) -> None:
    async with listening() as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"".join(parts))
            sender.shutdown(socket.SHUT_WR)
            received = await anyio.to_thread.run_sync(lambda: b"".join(iter(lambda: sender.recv(65536), b"")))
        for head in received.split(b"HTTP/1.1 ")[1:]:
            assert head.startswith((b"200 ", b"100 ", b"4", b"501 "))
        assert (await talk(port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(
            b"HTTP/1.1 200"
        )
        assert not server._connections
    assert not captured.of("health.answer_failed")


async def test_streams_are_few_and_leave_room_for_the_rest() -> None:
    async with listening() as (server, port):
        server._streams = 1
        async with await anyio.connect_tcp("127.0.0.1", port) as first:
            await first.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await first.receive()
            second = await talk(port, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.startswith(b"HTTP/1.1 503 ")


async def test_a_bug_of_one_page_ends_nothing_and_is_logged(captured: Captured) -> None:
    async with listening() as (_, port):
        received = await talk(port, b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 500 ")
        assert b"a bug" not in received
        assert (await talk(port, GET, b"garbage\r\n\r\n")).startswith(b"HTTP/1.1 200")
    (record,) = captured.of("health.answer_failed")
    assert record["message"] == "RuntimeError: a bug"
