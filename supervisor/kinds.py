"""The types of settings: what each is called, and how a value is read. Pure."""

from __future__ import annotations

import math
import os
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOG_FORMATS: Final = ("auto", "json", "console", "logfmt")
SCHEMA_MODES: Final = ("safe", "additive", "plan", "skip", "force")
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LONGEST_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting: how it is called in the reference, and how a value is read.

    Attributes:
        name: what the reference calls it.
        read: turns text from the environment, or a scalar or list from YAML, into the value; raises
            :class:`ValueError` with what it expects.
    """

    name: str
    read: Callable[[object], object]


def shown(raw: object) -> str:
    """A wrong value for a sentence about it: short, and never an error itself."""
    try:
        text = repr(raw)
    except ValueError:
        # Python does not spell out integers of thousands of digits.
        return "a very large number"
    except RecursionError:
        return "something nested very deep"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _number(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _at_least(minimum: float, unit: str) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            number = _number(value)
        except ValueError:
            number = math.nan
        if not number >= minimum:
            raise ValueError(f"a number of {unit}, {minimum:g} or more")
        return number

    return read


def _integer(minimum: int, maximum: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        try:
            number = _number(value)
        except ValueError:
            number = math.nan
        if not (minimum <= number <= maximum) or number != int(number):
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(number)

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if "\0" in value:
        raise ValueError("a text without NUL characters")
    return value


def is_passable(text: str) -> bool:
    """Whether a text can be an argument or a variable of a process, see ``execve(2)``."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeError:
        return False


def _path(value: object) -> Path:
    text = _text(value)
    try:
        os.fsencode(text)
        return Path(text).expanduser()
    except UnicodeError:
        raise ValueError("a path that the file system can spell") from None
    except RuntimeError:
        raise ValueError("a path; there is no home directory for its ~") from None


def _names(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of names")
    return tuple(name for item in items if (name := item.strip()))


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and value and value[0] and all(isinstance(item, str) for item in value):
        if not all(map(is_passable, value)):
            raise ValueError("words without NUL characters")
        return tuple(value)
    try:
        words = tuple(shlex.split(_text(value)))
    except ValueError as error:
        raise ValueError(f"a command line as a POSIX shell would split it ({error})") from None
    if not words or not words[0]:
        raise ValueError("a command line")
    return words


def _ratio(value: object) -> float:
    try:
        number = _number(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError("a number from 0 to 1")
    return number


def _statuses(value: object) -> frozenset[int]:
    items = value if isinstance(value, list) else str(value).split(",")
    return frozenset(_status(str(item).strip()) for item in items if str(item).strip())


def _status(text: str) -> int:
    if text.isdecimal() and int(text) <= 255:
        return int(text)
    try:
        return 128 + signal.Signals[text.upper()]
    except KeyError:
        raise ValueError("exit statuses from 0 to 255, or names of signals such as SIGSEGV") from None


def _log_level(raw: object) -> str:
    from supervisor.logs.levels import parse  # noqa: PLC0415 - its catalogue of events is not for every command

    if not isinstance(raw, str):
        raise ValueError("a level, such as info or info,postgres=debug,directus=warning")
    try:
        return str(parse(raw))
    except ValueError as error:
        raise ValueError(f"a level, or levels of components, as in info,postgres=debug: {error}") from None


def _boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text]


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value).strip().lower()
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


BOOLEAN = Kind("true or false", _boolean)
SECONDS = Kind("seconds", _at_least(0, "seconds"))
POSITIVE_SECONDS = Kind("seconds, more than 0", _at_least(0.001, "seconds"))
FACTOR = Kind("factor, 1 or more", _at_least(1, "times"))
RATIO = Kind("ratio from 0 to 1", _ratio)
COUNT = Kind("count", _integer(0, 1_000_000))
PORT = Kind("port", _integer(0, 65535))
REMOTE_PORT = Kind("port, 1 or more", _integer(1, 65535))
TEXT = Kind("text", _text)
PATH = Kind("path", _path)
NAMES = Kind("comma-separated names", _names)
STATUSES = Kind("comma-separated exit statuses or names of signals", _statuses)
MEGABYTES = Kind("megabytes", _at_least(0, "megabytes"))
COMMAND = Kind("command line", _command)
LOG_FORMAT = Kind("one of " + ", ".join(LOG_FORMATS), _one_of(LOG_FORMATS))
SCHEMA_MODE = Kind("one of " + ", ".join(SCHEMA_MODES), _one_of(SCHEMA_MODES))
LOG_LEVEL = Kind("one of debug, info, warning, error; then component=level, each after a comma", _log_level)
