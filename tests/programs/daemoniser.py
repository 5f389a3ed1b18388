"""Says that it is ready, as Directus does, and leaves grandchildren behind that left its session.

usage: daemoniser.py SHORT_LIVED STUBBORN: how many end at once, and how many ignore SIGTERM for ever.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def daemonise(live: Callable[[], None]) -> None:
    """Run `live` in a grandchild of a session of its own, whose parent is gone."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            live()
        os._exit(0)
    os.waitpid(child, 0)


def be_stubborn() -> None:
    """Ignore SIGTERM, and say so."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"stubborn\n")
    while True:
        signal.pause()


short_lived, stubborn = map(int, sys.argv[1:])
for _ in range(short_lived):
    daemonise(lambda: None)
for _ in range(stubborn):
    daemonise(be_stubborn)
os.write(int(os.environ["NODE_CHANNEL_FD"]), b'"ready"\n')
signal.pause()
