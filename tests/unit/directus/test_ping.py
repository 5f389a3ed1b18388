"""The HTTP look at Directus, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from supervisor.directus.ping import Address, ping

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(answer: bytes | None, path: Path | None = None) -> AsyncIterator[Address]:
    """A server that gives this answer to whatever it is asked; None keeps silent."""
    asked: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    if path is not None:
        server: asyncio.Server = await asyncio.start_unix_server(serve, path)
        address = Address("", 0, path)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield address
    finally:
        over.set()
        server.close()
        await server.wait_closed()
    assert all(request.startswith(b"GET /server/ping HTTP/1.1\r\nHost: ") for request in asked)


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_the_status_is_what_the_server_says(status: int) -> None:
    async with answering(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 4\r\n\r\npong".encode()) as address:
        assert await ping(address, 10) == status


async def test_a_status_needs_no_reason() -> None:
    async with answering(b"HTTP/1.1 204\r\n\r\n") as address:
        assert await ping(address, 10) == 204


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.1 ok\r\n",
        b"HTTP/1.1 " + b"9" * 5000 + b"\r\n",
        b"\xff\xfe\r\n",
        b"x" * 200_000,
    ],
)
async def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    async with answering(answer) as address:
        assert await ping(address, 10) is None


async def test_a_refused_connection_is_no_answer() -> None:
    with socket.socket() as bound:
        # Bound, and not listening.
        bound.bind(("127.0.0.1", 0))
        assert await ping(Address("127.0.0.1", bound.getsockname()[1]), 10) is None


async def test_a_silent_server_times_out() -> None:
    with anyio.fail_after(10):
        async with answering(None) as address:
            assert await ping(address, 0.05) is None


async def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tmp_path / "s") as address:
        assert await ping(address, 10) == 200


@pytest.mark.parametrize("path", ["absent", "x" * 300])
async def test_a_socket_that_is_not_there_is_no_answer(tmp_path: Path, path: str) -> None:
    assert await ping(Address("", 0, tmp_path / path), 10) is None


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "no-such-host.invalid"])
async def test_a_host_that_is_no_host_is_no_answer(host: str) -> None:
    assert await ping(Address(host, 1), 5) is None


@pytest.mark.parametrize(
    ("host", "reachable"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("", "127.0.0.1"), ("10.0.0.1", "10.0.0.1")]
)
async def test_any_address_is_reached_by_loopback(host: str, reachable: str) -> None:
    assert Address(host, 1).reachable_host == reachable


async def test_an_address_is_shown_as_people_write_it() -> None:
    assert str(Address("0.0.0.0", 8055)) == "0.0.0.0:8055"
    assert str(Address("0.0.0.0", 8055, Path("/run/d.sock"))) == "/run/d.sock"
