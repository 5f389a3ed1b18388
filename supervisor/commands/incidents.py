"""`incidents`: what went wrong in the past lives of a supervisor, from the files that it has kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from supervisor.commands.place import find_settings, say, told
from supervisor.commands.table import table
from supervisor.errors import CONFIG_INVALID, USAGE, ExitCode, SupervisorError
from supervisor.incidents.store import Stored, stored

_SHOWN_FIRST: Final = ("id", "code", "message", "remedy", "runbook")


def run_incidents(
    environ: Mapping[str, str], cwd: Path, folder: Path | None, wanted: str | None, *, as_json: bool
) -> int:
    """Print the incidents that were kept, the newest first, or one in full.

    Args:
        environ: the process environment.
        cwd: the working directory.
        folder: where they are; None: ``SUPERVISOR_INCIDENT_DIR``.
        wanted: the id of one, or the beginning of it.
        as_json: as one JSON array, or one object, on stdout.

    Returns:
        0, also when there are none; else the status of the failure, which is told on stderr.
    """

    def act() -> int:
        place = cwd / folder if folder is not None else find_settings(environ, cwd).incident_dir
        if place is None:
            raise SupervisorError(
                CONFIG_INVALID,
                "There is no folder of incidents: SUPERVISOR_INCIDENT_DIR is not set",
                remedy="Name the folder with --dir, or set SUPERVISOR_INCIDENT_DIR as it is for the supervisor.",
            )
        try:
            found = stored(place)
        except OSError as error:
            raise SupervisorError(
                CONFIG_INVALID,
                f"The incidents cannot be read: {error}",
                remedy="Name a folder that this user may read.",
            ) from None
        if wanted is not None:
            shown = _one(found, wanted, place)
            print(_as_json(shown) if as_json else as_account(shown))  # noqa: T201
        elif as_json:
            print(_as_json([each.document for each in found if each.document is not None]))  # noqa: T201
        elif found:
            print(as_list(found))  # noqa: T201
        else:
            say(f"no incident is kept in {place}")
        return ExitCode.STOPPED

    return told(environ, cwd, act)


def as_list(found: Sequence[Stored]) -> str:
    """One row an incident. Pure."""
    rows = [(each.id, _text(each.document.get("message")) if each.document else "(unreadable)") for each in found]
    return table(("id", "message"), rows)


def as_account(document: Mapping[str, Any]) -> str:
    """One incident in full, a line a field, lists as one line each. Pure."""
    names = [name for name in _SHOWN_FIRST if name in document]
    names += [name for name in document if name not in _SHOWN_FIRST]
    lines: list[str] = []
    for name in names:
        value = document[name]
        if isinstance(value, list) and value:
            lines += [f"{name}:", *(f"  {_text(item)}" for item in value)]
        elif isinstance(value, str) and "\n" in value:
            lines += [f"{name}:", *(f"  {_text(line)}" for line in value.splitlines())]
        else:
            lines.append(f"{name}: {_text(value)}")
    return "\n".join(lines)


def _one(found: Sequence[Stored], wanted: str, folder: Path) -> Mapping[str, Any]:
    exactly = [each for each in found if each.id == wanted]
    chosen = exactly or [each for each in found if each.id.startswith(wanted)]
    if len(chosen) != 1 or chosen[0].document is None:
        why = (
            "is unreadable" if len(chosen) == 1 else f"is the beginning of {len(chosen)} ids" if chosen else "is no id"
        )
        raise SupervisorError(
            USAGE, f"{wanted!r} {why} in {folder}", remedy="Call `incidents` alone for the list of ids."
        )
    return chosen[0].document


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _text(value: object) -> str:
    """A value on one line; what a process wrote must not steer the terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else " " for character in text)
