"""A process that never stays: it ignores TERM, and is replaced by a child of its own every millisecond.

Says `ready` once. Ends by itself after a minute, should nobody end it.
"""

# ruff: noqa: T201

from __future__ import annotations

import os
import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "session" in sys.argv[1:]:
    if os.fork():
        signal.pause()
    os.setsid()
print("ready", flush=True)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    if os.fork():
        os._exit(0)
    time.sleep(0.001)
