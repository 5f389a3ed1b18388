"""Keeping secrets out of every line: the values of secret settings, and passwords inside URLs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "[redacted]"
# Shorter values cannot be masked without making the log unreadable.
SHORTEST_SECRET: Final = 4

# It begins with a literal, so that a long line without one is passed over fast. A password may hold an @ itself.
_URL_PASSWORD: Final = re.compile(r'://(?P<user>[^\s/:@"]*):(?P<password>[^\s/"]+)@')
_URL: Final = b"://"
# Spelled the same by every JSON encoder.
_PLAIN_RUN: Final = re.compile(r"[A-Za-z0-9 !#$%()*+,\-.:;=?@\[\]^_`{|}~]+")
_SHORTEST_NEEDLE: Final = 3
# So many searches cost what one regular expression does.
_MOST_NEEDLES: Final = 24
# A line of a multi-line secret (a PEM key) that is long enough to be one of its own.
_SECRET_LINE: Final = 16


class Redactor:
    """Masks known secrets, and the password part of any URL, in text and in values made of text.

    Args:
        secrets: the exact values that must never be shown.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._needles: tuple[bytes, ...] = ()
        self._needle_pattern: re.Pattern[bytes] | None = None
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Replace the set of known secrets; values shorter than four characters are passed over."""
        spellings: set[str] = set()
        needles = {_URL}
        for secret in secrets:
            lines = [line.strip() for line in secret.splitlines()]
            parts = [line for line in lines if len(line) >= _SECRET_LINE and not line.startswith("-----")]
            for value in {secret, secret.strip(), *parts}:
                if len(value) >= SHORTEST_SECRET:
                    once = _escaped(value)
                    # Twice: a message that is itself JSON, within our own line.
                    all_spellings = {value} | once | {twice for text in once for twice in _escaped(text)}
                    spellings |= all_spellings
                    needles |= _needles_of(value, all_spellings)
        longest_first = sorted(spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        # What holds another needle need not be looked for.
        found = tuple(one for one in needles if not any(other != one and other in one for other in needles))
        self._needles = found
        many = len(found) > _MOST_NEEDLES
        self._needle_pattern = re.compile(b"|".join(map(re.escape, found))) if many else None

    def may_concern(self, data: bytes) -> bool:
        """Whether rendered lines may hold anything to mask: a cheap look at many of them, which may be wrong with yes.

        Args:
            data: JSON or plain text in UTF-8.
        """
        if self._needle_pattern is not None:
            return self._needle_pattern.search(data) is not None
        return any(map(data.__contains__, self._needles))

    def concerns(self, text: str) -> bool:
        """Whether `text` holds anything to mask; one cheap look for the many lines that hold nothing."""
        if self._pattern is not None and self._pattern.search(text):
            return True
        return "://" in text and _URL_PASSWORD.search(text) is not None

    def text(self, text: str) -> str:
        """`text` with every secret masked."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"://\g<user>:{MASK}@", text)
        return text

    def value(self, value: object) -> object:
        """`value` with every secret masked in all the text that it is made of, numbers included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool):
            return value
        masked = self.text(str(value))
        return value if masked == str(value) else masked


def _needles_of(value: str, spellings: set[str]) -> set[bytes]:
    """What is in every spelling of a secret; the spellings themselves where that would be too short."""
    runs: list[str] = _PLAIN_RUN.findall(value)
    longest = max(runs, key=len, default="")
    if len(longest) >= _SHORTEST_NEEDLE:
        return {longest.encode()}
    return {text.encode("utf-8", "backslashreplace") for text in spellings}


def _escaped(text: str) -> set[str]:
    """How `text` is spelled inside a JSON string, by encoders that escape beyond ASCII and by those that do not."""
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
