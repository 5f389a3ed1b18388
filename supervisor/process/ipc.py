"""The channel that Node.js offers to a parent: newline-delimited JSON over a socket pair.

Directus calls ``process.send('ready')`` when it listens, if it has such a channel (``NODE_CHANNEL_FD``); our own
script inside Node talks over the same. See Node's documentation of ``child_process``, "Advanced serialization".
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Final

_LONGEST_MESSAGE_BYTES: Final = 64 * 1024 * 1024


class NodeChannel:
    """The parent's end of one channel.

    Attributes:
        child_end: the descriptor to hand to the child; close it here once the child has it.
    """

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._theirs = theirs
        self._ours.setblocking(False)
        self._writer: asyncio.StreamWriter | None = None
        self._unsent: list[bytes] = []

    @property
    def child_descriptor(self) -> int:
        """The descriptor number that the child inherits."""
        return self._theirs.fileno()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Node finds the channel."""
        return {"NODE_CHANNEL_FD": str(self.child_descriptor), "NODE_CHANNEL_SERIALIZATION_MODE": "json"}

    def close_child_end(self) -> None:
        """Close our copy of the child's end, so that its death is seen as the end of the stream."""
        self._theirs.close()

    def close(self) -> None:
        """Close our end, for a channel that no child came to have."""
        self._ours.close()

    async def receive(self, consume: Callable[[object], None]) -> None:
        """Call `consume` with each message until the other side closes; garbage is passed over."""
        reader, writer = await asyncio.open_connection(sock=self._ours, limit=_LONGEST_MESSAGE_BYTES)
        self._writer = writer
        writer.writelines(self._unsent)
        try:
            while line := await reader.readline():
                try:
                    message = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                consume(message)
        except (ValueError, ConnectionError):
            pass
        finally:
            writer.close()

    def send(self, message: object) -> None:
        """Send one message; what is sent before :meth:`receive` runs is sent when it does."""
        line = json.dumps(message).encode() + b"\n"
        if self._writer is None:
            self._unsent.append(line)
        else:
            self._writer.write(line)
