"""The command line of `dry-run`; light, as every command line is read by it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path


def add_dry_run(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add the command to the command line.

    Args:
        command: makes its parser, from its name, a summary and an example.
    """
    parser = command(
        "dry-run",
        "Try the deployment on a throwaway database: check, then all phases twice; 0 when the second changes nothing.",
        "directus-supervisor dry-run --against postgres://ci:…@db.local/postgres",
    )
    parser.add_argument(
        "--against", metavar="URL", help="a server to make the database on (default: one of its own, gone afterwards)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the database, and say how to reach it")
    parser.add_argument("--json", action="store_true", help="the account as one JSON object")


def dry_run(options: argparse.Namespace) -> int:
    """Run the command; the status to exit with."""
    from supervisor.dry_run.command import Options, run_dry  # noqa: PLC0415

    return run_dry(os.environ, Path.cwd(), Options(options.against, options.keep, options.json))
