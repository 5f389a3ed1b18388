"""The HTTP look at Directus: ``/server/ping`` answers ``pong`` without authentication or a look at the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

_PATH: Final = "/server/ping"
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Address:
    """Where Directus listens: a host and port, or a Unix socket (which wins in Directus, too)."""

    host: str
    port: int
    socket: Path | None = None

    @property
    def reachable_host(self) -> str:
        """A host to connect to; "any address" is reached by loopback."""
        return _ANY_ADDRESS.get(self.host, self.host)

    @property
    def known(self) -> bool:
        """Whether it can be asked there; port 0 lets the system choose one."""
        return self.socket is not None or self.port != 0

    def __str__(self) -> str:
        return str(self.socket) if self.socket else f"{self.host}:{self.port}"


async def ping(address: Address, timeout_s: float, path: str = _PATH) -> int | None:
    """Ask once.

    Args:
        address: where Directus listens.
        timeout_s: seconds to wait for the status line.
        path: what to ask for.

    Returns:
        The HTTP status, or None when nothing answered. 429 and 503 are answers, too: Directus' rate and pressure
        limiters stand before this path.
    """
    with anyio.move_on_after(timeout_s):
        try:
            if address.socket is not None:
                reader, writer = await asyncio.open_unix_connection(str(address.socket))
            else:
                reader, writer = await asyncio.open_connection(address.reachable_host, address.port)
        except (OSError, ValueError):
            # A name that no resolver takes is a ValueError.
            return None
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            writer.write(request.encode("ascii"))
            status_line = await reader.readline()
        except (OSError, ValueError):
            return None
        finally:
            writer.close()
        return _status(status_line)
    return None


def _status(line: bytes) -> int | None:
    match line.split(maxsplit=2):
        case [protocol, status, *_] if protocol.startswith(b"HTTP/") and status.isdigit() and len(status) == 3:
            return int(status)
    return None
