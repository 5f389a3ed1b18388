"""The grammar of the commands on SQL files and their records; light, as every command line is read by it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MOST_DIGITS: Final = 18


def add_record_commands(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add these commands to the command line.

    Args:
        command: makes the parser of one, from its name, a summary and an example.
    """
    plan = command(
        "plan",
        "Show what a boot would do with the SQL files, and what has run; changes nothing.",
        "directus-supervisor plan --check",
    )
    plan.add_argument("--json", action="store_true", help="as one JSON object")
    plan.add_argument("--check", action="store_true", help="exit 1 when a file would run")

    new = command(
        "new",
        "Make a SQL file with the next free number, and print its path.",
        "directus-supervisor new 'index positions by codec' --post",
    )
    new.add_argument("name", metavar="NAME", help="what it does, in a few words")
    new.add_argument("--post", action="store_true", help="in post-schema/ (default: pre-schema/)")
    new.add_argument("--repeatable", action="store_true", help="runs again whenever it has changed")

    repair = command(
        "repair",
        "Accept SQL files that were edited after they ran: record their checksums, run nothing.",
        "directus-supervisor repair 002_positions.sql --yes",
    )
    repair.add_argument("files", nargs="*", metavar="FILE", help="only these (default: every edited file)")
    repair.add_argument("--drop-orphans", action="store_true", help="also drop rows whose file is not there any more")
    repair.add_argument("--yes", action="store_true", help="do not ask")

    baseline = command(
        "baseline",
        "Let SQL files count as applied without running them, on a database that has what they make.",
        "directus-supervisor baseline --to 12",
    )
    baseline.add_argument(
        "--to", type=_number, metavar="NNN", help="up to this number in each folder (default: all files)"
    )
    baseline.add_argument("--yes", action="store_true", help="do not ask")

    history = command("history", "Show the past boots: when, where, what each did.", "history --limit 5 --json")
    history.add_argument(
        "--limit", type=_positive, default=20, metavar="N", help="how many, the last ones (default 20)"
    )
    history.add_argument("--json", action="store_true", help="as one JSON array")

    incidents = command(
        "incidents",
        "Show the incidents that were kept in SUPERVISOR_INCIDENT_DIR, the newest first; one in full by its id.",
        "directus-supervisor incidents --dir /incidents",
    )
    incidents.add_argument("id", nargs="?", metavar="ID", help="show this one in full; its beginning will do")
    incidents.add_argument(
        "--dir", dest="directory", type=Path, metavar="DIR", help="the folder (default: SUPERVISOR_INCIDENT_DIR)"
    )
    incidents.add_argument("--json", action="store_true", help="as one JSON array, or one object")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at most {_MOST_DIGITS} digits")
    return int(text)


def _positive(text: str) -> int:
    number = _number(text)
    if not number:
        raise argparse.ArgumentTypeError("the least is 1")
    return number


def _plan(options: argparse.Namespace) -> int:
    from supervisor.commands.plan import run_plan  # noqa: PLC0415

    return run_plan(os.environ, Path.cwd(), as_json=options.json, check=options.check)


def _new(options: argparse.Namespace) -> int:
    from supervisor.commands.new_file import run_new  # noqa: PLC0415

    return run_new(os.environ, Path.cwd(), options.name, post=options.post, repeatable=options.repeatable)


def _repair(options: argparse.Namespace) -> int:
    from supervisor.commands.repair import run_repair  # noqa: PLC0415

    return run_repair(os.environ, Path.cwd(), options.files, drop_orphans=options.drop_orphans, yes=options.yes)


def _baseline(options: argparse.Namespace) -> int:
    from supervisor.commands.baseline import run_baseline  # noqa: PLC0415

    return run_baseline(os.environ, Path.cwd(), options.to, yes=options.yes)


def _history(options: argparse.Namespace) -> int:
    from supervisor.commands.history import run_history  # noqa: PLC0415

    return run_history(os.environ, Path.cwd(), options.limit, as_json=options.json)


def _incidents(options: argparse.Namespace) -> int:
    from supervisor.commands.incidents import run_incidents  # noqa: PLC0415

    return run_incidents(os.environ, Path.cwd(), options.directory, options.id, as_json=options.json)


RECORD_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "plan": _plan,
    "new": _new,
    "repair": _repair,
    "baseline": _baseline,
    "history": _history,
    "incidents": _incidents,
}
