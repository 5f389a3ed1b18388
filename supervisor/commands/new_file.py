"""`new`: a SQL file with the next free number; it overwrites nothing and asks no database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from supervisor.commands.place import find_settings, told
from supervisor.errors import SQL_INVALID_FILE, USAGE, ExitCode, SupervisorError

PRE: Final = "pre-schema"
POST: Final = "post-schema"

_NUMBERED: Final = re.compile(r"(?P<number>[0-9]+)_.*\.sql", re.IGNORECASE)
_FEWEST_DIGITS: Final = 3
# ext4 and its like take 255 bytes.
_LONGEST_SLUG: Final = 200


def run_new(environ: Mapping[str, str], cwd: Path, name: str, *, post: bool, repeatable: bool) -> int:
    """Make a SQL file and print its path.

    Args:
        environ: the process environment.
        cwd: the working directory.
        name: what it does, in a few words.
        post: in ``post-schema/`` rather than ``pre-schema/``.
        repeatable: with the directive that lets it run again whenever it changes.

    Returns:
        0, or the status of the failure, which is told on stderr.
    """

    def act() -> int:
        sql_dir = find_settings(environ, cwd).sql_dir
        path = _make(sql_dir, POST if post else PRE, slug(name), _template(name, repeatable=repeatable))
        print(path.relative_to(cwd) if path.is_relative_to(cwd) else path)  # noqa: T201
        return ExitCode.STOPPED

    return told(environ, cwd, act)


def slug(name: str) -> str:
    """A name in words as part of a file's name: ASCII letters and digits in lower case, joined by underscores. Pure.

    Raises:
        SupervisorError: ``usage`` when nothing is left, or too much.
    """
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[a-z0-9]+", plain.lower().removesuffix(".sql")))
    if not words or len(words) > _LONGEST_SLUG:
        raise SupervisorError(
            USAGE,
            f"{name!r} makes no file name",
            remedy="Say in a few words with ASCII letters what the file does, such as: new 'index positions'.",
        )
    return words


def next_name(names: Collection[str], taken: Collection[str], words: str) -> str:
    """The name of the next file of a folder. Pure.

    Args:
        names: the files of the folder.
        taken: those of the other folder, among which no name may stand twice.
        words: the part after the number.
    """
    matches = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    number = max((int(match["number"]) for match in matches), default=0) + 1
    digits = max((len(match["number"]) for match in matches), default=_FEWEST_DIGITS)
    lower = {name.lower() for name in taken}
    while (name := f"{number:0{digits}d}_{words}.sql") in lower:
        number += 1
    return name


def _make(sql_dir: Path, folder: str, words: str, text: str) -> Path:
    here, other = sql_dir / folder, sql_dir / (PRE if folder == POST else POST)
    try:
        here.mkdir(parents=True, exist_ok=True)
        path = here / next_name(_names(here), _names(other), words)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise SupervisorError(
            SQL_INVALID_FILE,
            f"no file can be made in {here}: {error.strerror}",
            remedy="Run this where SUPERVISOR_SQL_DIR is a folder that this user may write to.",
        ) from error
    return path


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _template(name: str, *, repeatable: bool) -> str:
    head = "-- supervisor: repeatable\n" if repeatable else ""
    # A directive, or the end of the comment, could hide in a name.
    title = " ".join(name.split())
    return f"{head}-- What it is for: {title}\n"
