"""Prints, as JSON, what this process was given by its parent."""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
# Python itself has changed these two by now.
python_ignores = (1 << 12) | (1 << 24)
LIMITS = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_STACK,
)
print(
    json.dumps(
        {
            "environment": sorted(Path("/proc/self/environ").read_bytes().decode("latin-1").split("\0")),
            "cwd": str(Path.cwd()),
            "umask": status["Umask"],
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "blocked": status["SigBlk"],
            "ignored": int(status["SigIgn"], 16) & ~python_ignores,
            "limits": [resource.getrlimit(number) for number in LIMITS],
            "descriptors": sorted(path.name for path in Path("/proc/self/fd").iterdir() if path.exists()),
            "arguments": Path("/proc/self/cmdline").read_bytes().decode("latin-1").split("\0")[1:],
        }
    )
)
