"""Telling a service manager how things are: systemd's notification protocol, see ``sd_notify(3)``.

It is one datagram to the socket that NOTIFY_SOCKET names, also of podman, and nothing at all where it is not set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

import anyio

from supervisor.lifecycle import Lifecycle, State

_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Sends notifications.

    Args:
        environ: the process environment.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self.watchdog_s = _watchdog_s(environ) if self._address is not None else None

    def follow(self, lifecycle: Lifecycle) -> None:
        """Tell of every move from now on."""
        if self._address is None:
            return
        was_ready = False

        def tell(_before: State, state: State, reason: str) -> None:
            nonlocal was_ready
            lines = [f"STATUS={state}: {' '.join(reason.split())}"]
            if state is State.READY and not was_ready:
                was_ready = True
                lines.insert(0, "READY=1")
            elif state in {State.STOPPING, State.FAILED}:
                lines.insert(0, "STOPPING=1")
            self.send(*lines)

        lifecycle.on_move(tell)

    def send(self, *lines: str) -> bool:
        """Send one notification; says whether somebody took it. Never blocks and never fails."""
        if self._address is None:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            # A manager that has gone, or does not read, must not stop what it manages.
            return False
        return True

    async def keep_alive(self) -> None:
        """Send ``WATCHDOG=1`` twice in the time that the manager gives; ends at once where it gives none."""
        while self.watchdog_s is not None:
            self.send("WATCHDOG=1")
            await anyio.sleep(self.watchdog_s / 2)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _address(text: str) -> str | None:
    if text.startswith("@"):
        # An abstract name begins with a NUL (unix(7)).
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / _MICROSECONDS
