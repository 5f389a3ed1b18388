"""Cutting a SQL script into statements the way psql does: on semicolons that stand in no quote, comment or body.

Pure. The rules are those of PostgreSQL's lexical structure (documentation, section 4.1) and, for bodies in the SQL
standard's form (``BEGIN ATOMIC … END``), of psql's own scanner.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

_LEXICON: Final = r"""
      (?P<line_comment>--[^\n\r]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>[eE]'(?:[^'\\]++|\\.|'')*+'
        # A literal goes on after a line end, still with escapes.
        (?:(?:[ \t\f\v]|--[^\n\r]*)*+[\n\r](?:\s|--[^\n\r]*[\n\r])*+'(?:[^'\\]++|\\.|'')*+')*+)
    | (?P<escape_string_open>[eE]')
    | (?P<string>'(?:[^']++|'')*+')
    | (?P<identifier>"(?:[^"]++|"")*+")
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<number>[0-9][A-Za-z0-9_.$]*)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<semicolon>;)
    | (?P<space>\s+)
    | (?P<signs>[,.=:+*<>\[\]]++)
    | (?P<other>.)
"""
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script.

    Attributes:
        text: from its first word to the character before its semicolon.
        offset: characters before it in the script.
        line: its first line, counted from 1.
        words: its first words in lower case, at most four, comments left out.
    """

    text: str
    offset: int
    line: int
    words: tuple[str, ...]


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: "word", "identifier" (in double quotes), "string", "escape_string", "dollar", "number", "open", "close",
            "semicolon", "signs" or "other".
        text: as it stands in the script.
        start: characters before it in the script.
    """

    kind: str
    text: str
    start: int


class UnterminatedError(ValueError):
    """A quote or comment that never ends.

    Args:
        what: "string", "comment" and so on.
        offset: characters before its start.
    """

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"unterminated {what}")
        self.what = what
        self.offset = offset


def split(script: str) -> list[Statement]:
    """Cut `script` into its statements, empty ones left out.

    Raises:
        UnterminatedError: when a quote, a dollar quote or a block comment never ends.
    """
    statements: list[Statement] = []
    current = _Current()
    for token in tokens(script):
        if token.kind == "semicolon" and current.complete:
            current.flush(script, statements)
            current = _Current()
        else:
            current.take(token.kind, token.text, token.start, token.start + len(token.text))
    current.flush(script, statements)
    return statements


def tokens(script: str) -> Iterator[Token]:
    """Everything in `script` but blanks and comments, in order.

    Raises:
        UnterminatedError: as :func:`split`.
    """
    position, pattern = 0, _pattern()
    while position < len(script):
        match = pattern.match(script, position)
        assert match is not None  # noqa: S101 - the last alternative matches any character
        kind, end = str(match.lastgroup), match.end()
        if kind == "block_comment":
            end = _end_of_comment(script, position)
        elif kind == "dollar":
            end = _end_of_dollar_quote(script, position, match.group())
        elif kind == "escape_string_open" or (kind == "other" and match.group() in "'\""):
            raise UnterminatedError("quoted identifier" if match.group() == '"' else "string", position)
        if kind not in {"space", "line_comment", "block_comment"}:
            yield Token(kind, script[position:end], position)
        position = end


@cache
def _pattern() -> re.Pattern[str]:
    """Compiled when the first script is read: that takes longer than most boots need for all their files."""
    return re.compile(_LEXICON, re.VERBOSE | re.DOTALL)


class _Current:
    """The statement being read."""

    def __init__(self) -> None:
        self._start: int | None = None
        self._end = 0
        self._words: list[str] = []
        self._parentheses = 0
        self._body_depth = 0
        self._last_word = ""

    @property
    def complete(self) -> bool:
        """Whether a semicolon here ends the statement."""
        return self._parentheses <= 0 and self._body_depth == 0

    def take(self, kind: str, text: str, start: int, end: int) -> None:
        if self._start is None:
            self._start = start
        self._end = end
        if kind == "open":
            self._parentheses += 1
        elif kind == "close":
            self._parentheses -= 1
        elif kind == "word":
            self._take_word(text.lower())
        if kind != "word":
            self._last_word = "." if text.endswith(".") else ""

    def _take_word(self, word: str) -> None:
        if len(self._words) < 4:
            self._words.append(word)
        # After a dot or AS any keyword is a name.
        is_name = self._last_word in {".", "as"}
        if self._creates_routine and self._parentheses <= 0 and not is_name:
            if word == "atomic" and self._last_word == "begin":
                self._body_depth = 1
            elif self._body_depth and word == "case":
                self._body_depth += 1
            elif self._body_depth and word == "end":
                self._body_depth -= 1
        self._last_word = word

    @property
    def _creates_routine(self) -> bool:
        words = self._words
        if words[:1] != ["create"]:
            return False
        kind = words[3:4] if words[1:3] == ["or", "replace"] else words[1:2]
        return kind in (["function"], ["procedure"])

    def flush(self, script: str, into: list[Statement]) -> None:
        if self._start is not None:
            # Counted on from the statement before, so that the work stays linear.
            line, counted = (into[-1].line, into[-1].offset) if into else (1, 0)
            line += script.count("\n", counted, self._start)
            into.append(Statement(script[self._start : self._end], self._start, line, tuple(self._words)))


def _end_of_comment(script: str, start: int) -> int:
    """Block comments nest in PostgreSQL."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(script, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise UnterminatedError("comment", start)


def _end_of_dollar_quote(script: str, start: int, tag: str) -> int:
    end = script.find(tag, start + len(tag))
    if end < 0:
        raise UnterminatedError(f"dollar quote {tag}", start)
    return end + len(tag)
