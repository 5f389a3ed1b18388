"""Running a piece of Python in a process of its own, for what a test process cannot have done to itself."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def run_script(source: str, *, status: int = 0, **environ: str) -> list[str]:
    """Run `source` and return the lines that it wrote.

    Args:
        source: the script; indentation that all lines share is taken off.
        status: what it must end with.
        environ: further variables.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout.splitlines()
