"""Directives: what the leading comment of a SQL file says about how the file runs. Pure.

A directive is a line ``-- supervisor: NAME [ARGUMENT]`` in the head: above the first line that is neither blank nor a
``--`` comment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# What both of the next ones begin with: most files have none, and need not be read line by line.
_BEGINNING: Final = re.compile(r"--[ \t]*supervisor", re.IGNORECASE)
_LINE: Final = re.compile(r"[ \t]*--+[ \t]*supervisor[ \t]*:(?P<words>.*)", re.IGNORECASE)
_DURATION: Final = re.compile(r"(?P<number>[0-9]+)[ \t]*(?P<unit>[A-Za-z]*)")
_EXTENSION: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_-]*)(?P<optional>[ \t]+optional)?")

# PostgreSQL documentation, section 20.1.1; as there, the case of a unit matters.
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}
# Both timeouts are 32-bit integers on the server.
_LONGEST_MS: Final = 2_147_483_647
_DURATION_REMEDY: Final = "Write a whole number and one of the units ms, s, min, h, such as 5s or 10min; 0 is no limit."


@dataclass(frozen=True, slots=True)
class RequiredExtension:
    """An extension that the server must offer before a file can run.

    Attributes:
        name: as in ``pg_available_extensions``.
        optional: without it the file stays pending, where it would stop the boot otherwise.
    """

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Directives:
    """How one file runs.

    Attributes:
        transaction: whether the file and its record are one transaction.
        extensions: what the server must offer.
        lock_timeout_ms: milliseconds that a statement may wait for a lock; 0 is no limit, None the default.
        statement_timeout_ms: milliseconds that a statement may take; 0 is no limit, None leaves it to the server.
        repeatable: whether the file runs again each time its content has changed.
    """

    transaction: bool = True
    extensions: tuple[RequiredExtension, ...] = ()
    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that cannot be used.

    Attributes:
        line: counted from 1.
        column: in characters, counted from 1.
        message: half a sentence that says what is wrong.
        remedy: one sentence that says what to do.
    """

    line: int
    column: int
    message: str
    remedy: str


def read_directives(text: str) -> tuple[Directives, tuple[Problem, ...]]:
    """Read the directives of a file, strictly.

    Args:
        text: the script, with LF line ends.

    Returns:
        The directives, those with a problem left out; and every problem, in the order of the lines.
    """
    if not _BEGINNING.search(text):
        return Directives(), ()
    found = _Found()
    in_head = True
    for number, line in enumerate(text.split("\n"), start=1):
        in_head = in_head and (not line.strip() or line.lstrip(" \t").startswith("--"))
        found.line = number
        if match := _LINE.match(line):
            if in_head:
                found.take(match["words"], match.start("words"))
            else:
                found.problem(
                    line.index("-"),
                    "a directive after the head of the file would have no effect",
                    "Move it above the first line that is not a `--` comment.",
                )
        elif in_head and (match := _WITHOUT_COLON.match(line)):
            found.problem(
                match.start("name"),
                f"the directive {match['name']!r} lacks its colon and would have no effect",
                f"Write `-- supervisor: {match['name']}`.",
            )
    found.check_contradictions()
    return found.directives, tuple(sorted(found.problems, key=lambda problem: (problem.line, problem.column)))


@dataclass(slots=True)
class _Found:
    """What has been read so far."""

    line: int = 0
    problems: list[Problem] = field(default_factory=list)
    _lines: dict[str, int] = field(default_factory=dict)
    _columns: dict[str, int] = field(default_factory=dict)
    _extensions: list[RequiredExtension] = field(default_factory=list)
    _timeouts: dict[str, int] = field(default_factory=dict)

    @property
    def directives(self) -> Directives:
        return Directives(
            transaction="no-transaction" not in self._lines,
            extensions=tuple(self._extensions),
            lock_timeout_ms=self._timeouts.get("lock-timeout"),
            statement_timeout_ms=self._timeouts.get("statement-timeout"),
            repeatable="repeatable" in self._lines,
        )

    def problem(self, offset: int, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.line, offset + 1, message, remedy))

    def take(self, words: str, offset: int) -> None:
        """Take one directive: what follows the colon, and where in the line that is."""
        offset += len(words) - len(words.lstrip())
        name, _, rest = words.strip().partition(" ")
        name, _, tabbed = name.partition("\t")
        argument = (tabbed + " " + rest).strip() if tabbed else rest.strip()
        reader = _READERS.get(name)
        if reader is None:
            close = difflib.get_close_matches(name.lower().replace("_", "-"), DIRECTIVES, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.problem(
                offset, f"unknown directive {name!r}{hint}", "The directives are: " + ", ".join(DIRECTIVES) + "."
            )
        else:
            reader(self, name, argument, offset)

    def flag(self, name: str, argument: str, offset: int) -> None:
        if argument:
            self.problem(offset, f"{name} takes no argument, not {argument!r}", f"Write `-- supervisor: {name}`.")
        else:
            self._once(name, name, offset)

    def extension(self, name: str, argument: str, offset: int) -> None:
        match = _EXTENSION.fullmatch(argument)
        if match is None:
            self.problem(
                offset,
                f"{name} takes the name of one extension, and `optional` after it or nothing, not {argument!r}",
                "Write `-- supervisor: requires-extension timescaledb`, or the same with `optional` at its end.",
            )
        elif self._once(f"{name} {match['name']}", f"{name} {match['name']}", offset):
            self._extensions.append(RequiredExtension(match["name"], match["optional"] is not None))

    def timeout(self, name: str, argument: str, offset: int) -> None:
        match = _DURATION.fullmatch(argument)
        factor = 1 if match and not match["unit"] and not match["number"].strip("0") else None
        if match and match["unit"]:
            factor = _UNITS_MS.get(match["unit"])
        if match is None or factor is None:
            self.problem(offset, f"{name} takes a duration, not {argument!r}", _DURATION_REMEDY)
        # Python does not read integers of thousands of digits.
        elif len(match["number"].lstrip("0")) > 10 or int(match["number"]) * factor > _LONGEST_MS:
            self.problem(
                offset, f"{name} {argument} is longer than the 24 days that PostgreSQL allows", _DURATION_REMEDY
            )
        elif self._once(name, name, offset):
            self._timeouts[name] = int(match["number"]) * factor

    def _once(self, key: str, what: str, offset: int) -> bool:
        if key in self._lines:
            self.problem(
                offset,
                f"{what} stands in line {self._lines[key]} already",
                "Keep one of the two, and take the other out.",
            )
            return False
        self._lines[key] = self.line
        self._columns[key] = offset
        return True

    def check_contradictions(self) -> None:
        """Each directive alone may be fine, and two of them together senseless."""
        lock, statement = self._timeouts.get("lock-timeout"), self._timeouts.get("statement-timeout")
        # PostgreSQL documentation, lock_timeout: pointless, since the statement timeout would always trigger first.
        if lock and statement and lock >= statement:
            self.line = max(self._lines["lock-timeout"], self._lines["statement-timeout"])
            later = "lock-timeout" if self._lines["lock-timeout"] == self.line else "statement-timeout"
            self.problem(
                self._columns[later],
                "lock-timeout is not shorter than statement-timeout, which would always end the statement first",
                "Make lock-timeout the shorter one.",
            )


_READERS: Final[dict[str, Callable[[_Found, str, str, int], None]]] = {
    "no-transaction": _Found.flag,
    "requires-extension": _Found.extension,
    "lock-timeout": _Found.timeout,
    "statement-timeout": _Found.timeout,
    "repeatable": _Found.flag,
}
DIRECTIVES: Final = tuple(_READERS)
# A word of prose, such as "repeatable", counts only where it ends the line.
_NAMES: Final = "|".join(name if "-" in name else name + r"(?=[ \t]*$)" for name in DIRECTIVES)
_WITHOUT_COLON: Final = re.compile(rf"[ \t]*--+[ \t]*supervisor[ \t]+(?P<name>{_NAMES})(?![\w-])", re.IGNORECASE)
