"""Says `ready PID`, then the number of every signal that it gets; only SIGKILL ends it."""

# ruff: noqa: T201

from __future__ import annotations

import os
import signal
import sys

numbers = signal.valid_signals() - {signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
print("ready", os.getpid(), *sys.argv[1:], flush=True)
while True:
    print(signal.sigwait(numbers), *sys.argv[1:], flush=True)
