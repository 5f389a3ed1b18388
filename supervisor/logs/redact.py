"""Keeping secrets out of every line: the values of secret settings, and credentials wherever they are seen as such."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from supervisor.logs import credentials, encoded
from supervisor.logs.credentials import MASK, SECRET_NAME

# Shorter values cannot be masked without making the log unreadable.
SHORTEST_SECRET: Final = 4

# Spelled the same by every JSON encoder and in every URL.
_PLAIN_RUN: Final = re.compile(r"[A-Za-z0-9._-]+")
_SHORTEST_NEEDLE: Final = 3
_LONGEST_REACH: Final = 64 * 1024
# So many searches cost what one regular expression does; in a short text a few do.
_MOST_NEEDLES: Final = 80
_SHORT_BYTES: Final = 512
# A line of a multi-line secret (a PEM key) that is long enough to be one of its own.
_SECRET_LINE: Final = 16


class Redactor:
    """Masks known secrets, and credentials in URLs and headers, in text and in values made of text.

    Args:
        secrets: the exact values that must never be shown.

    Attributes:
        reach: bytes on each side of a place that tell whether a secret lies across it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._needles: tuple[bytes, ...] = ()
        self._needle_pattern: re.Pattern[bytes] | None = None
        self._bytes_pattern: re.Pattern[bytes] | None = None
        self.reach = credentials.LONGEST
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Replace the set of known secrets; values shorter than four characters are passed over."""
        spellings: set[str] = set()
        needles: set[bytes] = set()
        for secret in secrets:
            lines = [line.strip() for line in secret.splitlines()]
            parts = [line for line in lines if len(line) >= _SECRET_LINE and not line.startswith("-----")]
            for value in {secret, secret.strip(), *parts}:
                if len(value) >= SHORTEST_SECRET:
                    once = _escaped(value)
                    # Twice: a message that is itself JSON, within our own line.
                    plain = (
                        {value} | once | {twice for text in once for twice in _escaped(text)} | encoded.in_url(value)
                    )
                    in_base64 = encoded.in_base64(value)
                    spellings |= plain | in_base64
                    needles |= _needles_of(value, plain) | {text.encode() for text in in_base64}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        in_bytes = [text.encode("utf-8", "backslashreplace") for text in longest_first]
        self._bytes_pattern = re.compile(b"|".join(map(re.escape, in_bytes))) if in_bytes else None
        self.reach = min(max([credentials.LONGEST, *map(len, in_bytes)]), _LONGEST_REACH)
        # What holds another needle need not be looked for.
        found = tuple(one for one in needles if not any(other != one and other in one for other in needles))
        self._needles = found
        self._needle_pattern = re.compile(b"|".join(map(re.escape, found))) if found else None

    def may_concern(self, data: bytes) -> bool:
        """Whether rendered lines may hold anything to mask: a cheap look at many of them, which may be wrong with yes.

        Args:
            data: JSON or plain text in UTF-8.
        """
        pattern = self._needle_pattern
        if pattern is not None and (len(data) <= _SHORT_BYTES or len(self._needles) > _MOST_NEEDLES):
            return pattern.search(data) is not None or credentials.may_be_in(data)
        # A plain loop, for the same reason as in `credentials.may_be_in`.
        for needle in self._needles:
            if needle in data:
                return True
        return credentials.may_be_in(data)

    def end_of_part(self, data: bytes, start: int, end: int) -> int:
        """Where a part of a long line may end, at `end` or near it, so that no secret is torn in two.

        Args:
            data: the line, with at least `reach` bytes after `end` unless it ends before.
            start: where the part begins.
            end: where it should end.
        """
        first = max(start, end - self.reach)
        around = data[first : end + self.reach]
        spans = credentials.spans_in(around)
        if self._bytes_pattern is not None:
            spans += [match.span() for match in self._bytes_pattern.finditer(around)]
        torn = [(first + begin, first + over) for begin, over in spans if first + begin < end < first + over]
        if not torn:
            return end
        begin = min(begin for begin, _ in torn)
        # A secret that fills the whole part stays in it, as far as it is in reach.
        return begin if begin > start else max(over for _, over in torn)

    def text(self, text: str) -> str:
        """`text` with every secret masked."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return credentials.masked(text)

    def value(self, value: object) -> object:
        """`value` with every secret masked in all the text that it is made of, numbers included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(name): _hidden(item) if SECRET_NAME.match(name) else self.value(item)
                for name, item in ((str(key), item) for key, item in value.items())
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool):
            return value
        masked = self.text(str(value))
        return value if masked == str(value) else masked


def _hidden(value: object) -> object:
    """The value of a field that holds credentials by its name, without them."""
    if isinstance(value, dict):
        return {str(key): _hidden(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(item) for item in value]
    hidden_already = isinstance(value, str) and value.startswith("--redact")
    return value if value is None or isinstance(value, bool) or hidden_already else MASK


def _needles_of(value: str, spellings: set[str]) -> set[bytes]:
    """What is in every spelling of a secret; the spellings themselves where that would be too short."""
    runs: list[str] = _PLAIN_RUN.findall(value)
    longest = max(runs, key=len, default="")
    if len(longest) >= _SHORTEST_NEEDLE:
        return {longest.encode()}
    return {text.encode("utf-8", "backslashreplace") for text in spellings}


def _escaped(text: str) -> set[str]:
    """How `text` is spelled inside a JSON string, by encoders that escape beyond ASCII and by those that do not."""
    once = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return once | {one.replace("/", r"\/") for one in once if "/" in one}
