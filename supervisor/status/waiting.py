"""Waiting for something new, which costs nothing while nobody waits."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import anyio


class Changes:
    """Wakes everybody who waits."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self.over = False

    def tell(self) -> None:
        """Something is new. May be called by any thread, since any may have something to log."""
        if self._event is None or self._loop is None:
            return
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            # The loop may be closed at any moment, and nobody waits in a closed one.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    def end(self) -> None:
        """Nothing new will come."""
        self.over = True
        self.tell()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until something is new, at most `timeout_s` seconds; says whether it is."""
        if self.over:
            return True
        if self._event is None:
            self._event = anyio.Event()
            self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        event = self._event
        with anyio.move_on_after(timeout_s):
            await event.wait()
        return event.is_set()
