"""The encoding that a session speaks: SQL files are sent as UTF-8, whatever one of them has SET. Pure."""

from __future__ import annotations

from typing import Final

# Neither case nor signs count in a name; UNICODE is the old one, and SQL_ASCII converts nothing.
_FITTING: Final = frozenset({"utf8", "unicode", "sqlascii"})


def is_utf8(encoding: str) -> bool:
    """Whether the server takes what it is sent for UTF-8, or for bytes that it does not look at."""
    return "".join(character for character in encoding.lower() if character.isalnum()) in _FITTING
