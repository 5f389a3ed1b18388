"""Work on files beside the event loop: a volume that hangs must hold up neither a restart nor a stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

# A volume that hangs gets no more of us than these.
_MOST_THREADS: Final = 4
Complain = Callable[[str], None]


class Beside:
    """Runs small pieces of work, each in a thread of its own, which is never waited for but at the very end.

    Args:
        complain: called with one sentence for each piece that failed, in the event loop or in :meth:`finish`.
    """

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self._threads: list[threading.Thread] = []
        self._failed: list[str] = []

    def do(self, what: str, work: Callable[[], object]) -> None:
        """Begin a piece of work.

        Args:
            what: what it is, for the sentence about its failure.
            work: may raise OSError.
        """
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= _MOST_THREADS:
            self._complain(f"{what}: the ones before are still being written")
            return
        loop = None
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._run, args=(what, work, loop), daemon=True, name="incidents")
        try:
            thread.start()
        except RuntimeError as error:
            # Where no process can be started any more, no thread can.
            self._complain(f"{what}: {error}")
            return
        self._threads.append(thread)

    def finish(self, timeout_s: float) -> None:
        """Wait until all is done, at most `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._tell()
        if any(thread.is_alive() for thread in self._threads):
            self._complain(f"a file could not be written within {timeout_s:g} s")

    def _run(self, what: str, work: Callable[[], object], loop: asyncio.AbstractEventLoop | None) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and all else goes on
            self._failed.append(f"{what}: {error}")
        if self._failed and loop is not None:
            # When the loop is over, `finish` tells.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        while self._failed:
            self._complain(self._failed.pop(0))
