"""Says that it is ready, as Directus does, and has descendants of the kind that a stop must cope with.

Usage: family.py KIND. What matters is told line by line: `deaf PID`, `heard PID`, `forked PID`, …
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType


def tell(word: str) -> None:
    """Write a line at once, in one piece."""
    os.write(1, f"{word} {os.getpid()}\n".encode())


def live() -> None:
    """Do nothing for ever."""
    while True:
        signal.pause()


def heard(_number: int, _frame: FrameType | None) -> None:
    """Take note of SIGTERM, and go on."""
    tell("heard")


def be_deaf() -> None:
    """Hear SIGTERM, say so, and stay."""
    signal.signal(signal.SIGTERM, heard)
    tell("deaf")
    live()


def in_a_child(*, session: bool = False) -> bool:
    """Whether this is the child; the parent goes on."""
    if os.fork():
        return False
    if session:
        os.setsid()
    return True


def deaf() -> None:
    """A grandchild in the group that does not heed SIGTERM; the process itself does."""
    if in_a_child():
        be_deaf()


def failing() -> None:
    """The same, and the process itself fails as soon as the grandchild is there."""
    reading, writing = os.pipe()
    if in_a_child():
        signal.signal(signal.SIGTERM, heard)
        os.write(writing, b"!")
        live()
    os.read(reading, 1)
    sys.exit(1)


def forking() -> None:
    """On SIGTERM it leaves a child behind that has not heard of it."""

    def fork_and_end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if in_a_child():
            tell("forked")
            live()
        os._exit(0)

    signal.signal(signal.SIGTERM, fork_and_end)


def end_slowly(_number: int, _frame: FrameType | None) -> None:
    """Take longer to end than the process itself."""
    time.sleep(0.3)
    tell("ended")
    os._exit(0)


def slow() -> None:
    """A grandchild in the group that needs a moment to end."""
    if in_a_child():
        signal.signal(signal.SIGTERM, end_slowly)
        tell("slow")
        live()


def generations() -> None:
    """A grandchild that left the session, with a child there of which SIGTERM has to be sent separately."""
    if in_a_child(session=True):
        if in_a_child():
            tell("younger")
            live()
        tell("older")
        live()


def careless() -> None:
    """A grandchild of a session of its own that never waits for its child, which is in our group."""
    if in_a_child():
        if in_a_child():
            signal.signal(signal.SIGTERM, end_slowly)
            tell("younger")
            live()
        os.setsid()
        tell("older")
        live()


KINDS: dict[str, Callable[[], None]] = {
    "deaf": deaf,
    "failing": failing,
    "forking": forking,
    "slow": slow,
    "generations": generations,
    "careless": careless,
    "alone": lambda: None,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
    if "NODE_CHANNEL_FD" in os.environ:
        os.write(int(os.environ["NODE_CHANNEL_FD"]), b'"ready"\n')
    live()
