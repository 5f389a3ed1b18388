"""Running a command that ends by itself, its answer and what it says beside it kept apart."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.harness import Deployment


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        status: the process' own.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
    """

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Its answer as JSON, of which stdout must consist."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line of its answer."""
        return [line.split() for line in self.out.splitlines()]


def run_command(deployment: Deployment, *arguments: str, typed: str | None = None) -> Ended:
    """Run `directus-supervisor` with these arguments to its end.

    Args:
        deployment: where.
        arguments: the command line.
        typed: what a person types at the terminal; None for no terminal.
    """
    keyboard, terminal = pty.openpty() if typed is not None else (None, None)
    try:
        if keyboard is not None and typed is not None:
            os.write(keyboard, typed.encode())
        done = subprocess.run(
            [sys.executable, "-m", "supervisor", *arguments],
            env=deployment.environ,
            cwd=deployment.folder,
            stdin=terminal if terminal is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        for end in (keyboard, terminal):
            if end is not None:
                os.close(end)
    return Ended(done.returncode, done.stdout, done.stderr)
