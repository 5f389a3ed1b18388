"""The command line of `check`; light, as every command line is read by it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_check(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add the command to the command line.

    Args:
        command: makes its parser, from its name, a summary and an example.
    """
    check = command(
        "check",
        "Find mistakes in the SQL files and the snapshot without a database; exit 0 or 1.",
        "directus-supervisor check --strict --format github",
    )
    check.add_argument(
        "directory",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="the deployment, or its SQL folder (default: this folder)",
    )
    check.add_argument(
        "--format", dest="output", choices=("text", "json", "github"), default="text", help="of the findings"
    )
    check.add_argument("--strict", action="store_true", help="let warnings count: exit 1 for them, too")
    check.add_argument("--lint", action="store_true", help="add what squawk finds (locks, rewrites, breaking changes)")
    check.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME",
        help="a relation that something else creates; repeatable",
    )
