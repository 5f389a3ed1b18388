"""The names of SQL files: a number, an underscore, words. Pure, and free of all that reads or runs them."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(?P<number>[0-9]+)_.+\.sql", re.IGNORECASE)
# What Python makes of the bytes of a file's name that are not UTF-8.
_UNDECODED: Final = re.compile("[\ud800-\udfff]")
_LONGEST_NUMBER: Final = 1000


def number_in(name: str) -> int | None:
    """The number that a file's name gives its place in the order by; None when it has none."""
    match = _NAME.fullmatch(name)
    # Python does not read integers of thousands of digits.
    return int(match["number"]) if match and len(match["number"]) <= _LONGEST_NUMBER else None


def is_undecoded(name: str) -> bool:
    """Whether a file's name, as Python has it, is not UTF-8: the guard table cannot hold it."""
    return _UNDECODED.search(name) is not None
