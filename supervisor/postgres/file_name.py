"""The names of SQL files: a number, an underscore, words. Pure, and free of all that reads or runs them."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(?P<number>[0-9]+)_.+\.sql", re.IGNORECASE)
_LONGEST_NUMBER: Final = 1000


def number_in(name: str) -> int | None:
    """The number that a file's name gives its place in the order by; None when it has none."""
    match = _NAME.fullmatch(name)
    # Python does not read integers of thousands of digits.
    return int(match["number"]) if match and len(match["number"]) <= _LONGEST_NUMBER else None
