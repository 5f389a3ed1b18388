"""The grammar of `explain`; light, as every command line is read by it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable


def add_explain(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add the command to the command line.

    Args:
        command: makes the parser of one, from its name, a summary and an example.
    """
    explain = command(
        "explain",
        "Tell from a log what happened, in which order, why, and what to do.",
        "docker logs directus 2>&1 | directus-supervisor explain",
    )
    explain.add_argument(
        "files", nargs="*", metavar="FILE", help="logs, also compressed with gzip (default, and -: stdin)"
    )
    explain.add_argument("--json", action="store_true", help="as one JSON object")
    explain.add_argument(
        "--since", metavar="TIME", help="what was alive then: RFC 3339, or how long ago (90s, 30m, 2h, 1d)"
    )
    explain.add_argument("--boot", metavar="ID", help="only the boots whose id begins so")
    explain.add_argument("--last", action="store_true", help="only the last boot of each replica")


def explain(options: argparse.Namespace) -> int:
    """Run the command; the status to exit with."""
    from supervisor.explain.command import run_explain  # noqa: PLC0415

    return run_explain(
        os.environ, options.files, as_json=options.json, since=options.since, boot=options.boot, last=options.last
    )
