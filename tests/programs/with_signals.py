"""Runs a program with some signals ignored and some blocked.

Usage: with_signals.py IGNORED BLOCKED PROGRAM ARG …
The lists are numbers with commas between; `-` is an empty one.
"""

from __future__ import annotations

import os
import signal
import sys

ignored, blocked = ([int(word) for word in text.split(",") if word != "-"] for text in sys.argv[1:3])
for number in ignored:
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
os.execvp(sys.argv[3], sys.argv[3:])
