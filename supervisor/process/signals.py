"""Signals, from the first milliseconds on.

The kernel drops a signal sent to PID 1 that has no handler yet (``pid_namespaces(7)``), so the handlers are installed
before the heavy imports, and remember what came until somebody listens. This module imports nothing heavy.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
HANDLED: Final = (*sorted(STOP_SIGNALS), signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

# Python itself ignores these two, on purpose; subprocess gives them back to children.
_LEFT_TO_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


class SignalInbox:
    """Remembers signals until a listener takes them, in the order in which they came."""

    def __init__(self) -> None:
        self._pending: deque[signal.Signals] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Callable[[signal.Signals], None] | None = None

    def install(self) -> None:
        """Start to remember the handled signals, and undo what the parent left behind.

        A parent may have blocked or ignored signals (a shell's background job ignores INT and QUIT); both are
        inherited through exec, by us and by our children.
        """
        for number in signal.valid_signals() - _LEFT_TO_PYTHON:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        for number in HANDLED:
            signal.signal(number, self._receive)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def listen(self, loop: asyncio.AbstractEventLoop, listener: Callable[[signal.Signals], None]) -> None:
        """From now on call `listener` in `loop` for each signal, beginning with those that came before."""
        self._loop, self._listener = loop, listener
        loop.call_soon(self._deliver)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._pending.append(signal.Signals(number))
        if self._loop is not None and not self._loop.is_closed():
            # A Python handler does not wake a loop that sleeps in epoll; this does.
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._pending and self._listener is not None:
            self._listener(self._pending.popleft())

    @property
    def stop_requested(self) -> bool:
        """Whether a stop came that no listener has taken yet."""
        return any(number in STOP_SIGNALS for number in self._pending)
