"""Listening: the health port, bounded so that nobody outside can use up what PID 1 needs."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.health.connection import Connection
from supervisor.health.http import Handler
from supervisor.logs import events
from supervisor.logs.setup import get_log

MOST_CONNECTIONS: Final = 64
MOST_STREAMS: Final = 8
# asyncio takes so many new connections in one turn of the loop; the rest wait in the kernel's queue.
_AT_A_TIME: Final = 8
_BACKLOG: Final = 128
# So long one turn of the loop answers requests, however many there are.
_TURN_S: Final = 0.003
# For answers on their way when the server ends.
_LAST_WORDS_S: Final = 0.5
_log = get_log("health")


class Server:
    """Keeps the connections of one listening socket within bounds.

    Args:
        handle: answers requests.
        most: connections at once; one more takes the place of the one that has waited longest for its request.
        streams: answers without an end at once.
    """

    def __init__(self, handle: Handler, *, most: int = MOST_CONNECTIONS, streams: int = MOST_STREAMS) -> None:
        self.handle = handle
        self._most = most
        self._streams = streams
        # In the order in which they came.
        self._connections: dict[Connection, None] = {}
        self._due: deque[Connection] = deque()
        self.turned_away = 0

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in; False where there is no room even after the idle ones."""
        if len(self._connections) >= self._most:
            self.turned_away += 1
            oldest = next((one for one in self._connections if one.waiting), None)
            if oldest is None:
                return False
            del self._connections[oldest]
            oldest.abort()
        self._connections[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.pop(connection, None)

    def soon(self, connection: Connection) -> None:
        """Let the connection go on when it is its turn."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._serve)
        self._due.append(connection)

    def _serve(self) -> None:
        """Answer for a moment; the rest comes in the next turns, after signals, reaps and all else."""
        enough_s = time.monotonic() + _TURN_S
        while self._due:
            self._due.popleft().advance()
            if time.monotonic() >= enough_s:
                break
        if self._due:
            asyncio.get_running_loop().call_soon(self._serve)

    def may_stream(self) -> bool:
        """Whether one more answer without an end is possible."""
        return sum(connection.streaming for connection in self._connections) < self._streams

    async def listen(self, listener: socket.socket) -> asyncio.Server:
        """Begin to answer on a socket that listens already."""
        loop = asyncio.get_running_loop()
        local = listener.family == socket.AF_UNIX
        create = loop.create_unix_server if local else loop.create_server
        server = await create(lambda: Connection(self, local=local), sock=listener, backlog=_AT_A_TIME)
        # The same number has become the length of the kernel's queue.
        listener.listen(_BACKLOG)
        return server

    async def end(self) -> None:
        """Let answers on their way be finished for a moment, then close everything."""
        busy = [asyncio.ensure_future(one.finish()) for one in self._connections if not one.waiting]
        if busy:
            await asyncio.wait(busy, timeout=_LAST_WORDS_S)
            for one in busy:
                one.cancel()
        for connection in list(self._connections):
            connection.abort()
        # The loop closes the sockets in its next turn.
        await asyncio.sleep(0)


def bind(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Args:
        host: address or name to listen on.
        port: the port; 0 takes a free one.

    Raises:
        SupervisorError: ``health.port_taken`` when the address cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # From here on connections wait in the queue, also while the server is being set up.
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        # A name that no resolver takes is a UnicodeError.
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SupervisorError(
            errors.HEALTH_PORT_TAKEN,
            f"The health port {host}:{port} (SUPERVISOR_HEALTH_HOST, SUPERVISOR_HEALTH_PORT) cannot be bound: {reason}",
        ) from None
    return listener


@asynccontextmanager
async def serving(handle: Handler, listener: socket.socket) -> AsyncIterator[Server]:
    """Answer requests on `listener` for the duration of the context."""
    server = Server(handle)
    listening = await server.listen(listener)
    if listener.family != socket.AF_UNIX:
        host, port, *_ = listener.getsockname()
        shown = f"[{host}]" if ":" in host else host
        _log.emit(events.HEALTH_LISTENING, address=f"http://{shown}:{port}", port=port)
    try:
        yield server
    finally:
        listening.close()
        with anyio.CancelScope(shield=True):
            await server.end()
