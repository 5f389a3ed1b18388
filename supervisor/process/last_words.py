"""The line of a dead process that tells why it died. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# What Node.js writes around an error: where it was thrown, the stack (its own one, too), properties, its version.
_AROUND: Final = re.compile(r"\s|[\]})^]|Node\.js v\d|-----|\d+: 0x|(?:file://)?/\S+:\d+$|node:\S+:\d+$|$")


def last_words(lines: Sequence[str]) -> str | None:
    """The last line that is a sentence rather than a part of a dump; the last one of all where there is none.

    Args:
        lines: the end of the output, in order.

    Returns:
        None when nothing was written.
    """
    for line in reversed(lines):
        if not is_around(line):
            return line
    return lines[-1] if lines else None


def is_around(line: str) -> bool:
    """Whether the line is a part of a dump rather than a sentence."""
    return _AROUND.match(line) is not None
