"""Waiting for something new, which costs nothing while nobody waits."""

from __future__ import annotations

import anyio


class Changes:
    """Wakes everybody who waits."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self.over = False

    def tell(self) -> None:
        """Something is new. Called in the event loop."""
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
        event = self._event
        with anyio.move_on_after(timeout_s):
            await event.wait()
        return event.is_set()
