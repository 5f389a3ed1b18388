"""Serving the health port with uvicorn, without its habits that do not fit PID 1."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from starlette.applications import Starlette

from supervisor import errors
from supervisor.concurrency import one_error
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log

_STOP_S = 1
_BACKLOG = 128
_log = get_log("health")


class _Server(uvicorn.Server):
    """Leaves the signals to the supervisor, and sleeps where uvicorn ticks ten times a second."""

    closing: anyio.Event

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Close everything at once; uvicorn's own waits a tenth of a second even when nobody is connected."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()


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
            # From here on connections wait in the queue, also while the web server is being set up.
            listener.listen(_BACKLOG)
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
async def serving(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Answer requests on `listener` for the duration of the context."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_STOP_S,
        limit_concurrency=256,
        backlog=_BACKLOG,
    )
    server = _Server(config)
    server.closing = anyio.Event()
    host, port, *_ = listener.getsockname()
    shown = f"[{host}]" if ":" in host else host
    with one_error():
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            _log.emit(events.HEALTH_LISTENING, address=f"http://{shown}:{port}", port=port)
            try:
                yield
            finally:
                server.closing.set()
