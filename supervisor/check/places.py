"""Where in a PL/pgSQL body a query stands: the parser gives its text and the line of its statement. Pure."""

from __future__ import annotations

import re
from typing import Final

from supervisor.check.source import Fragment

ASSIGNMENT: Final = re.compile(r"(?P<name>[^:=]*?)\s*:?=")
SELECT: Final = "SELECT "
_BLANKED_INTO: Final = re.compile(r" {6,}")
# How the parser means the text of a query (PostgreSQL's RawParseMode).
_WHOLE, _FIRST_ASSIGNMENT = 0, 3


def start_in(body: Fragment, characters: int) -> int:
    """Characters of the file before a place of the body."""
    return body.start + characters if body.exact else body.start


class Places:
    """Finds queries from the top of a body to its end.

    Args:
        body: the body.
    """

    def __init__(self, body: Fragment) -> None:
        self._body = body
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", body.text))]
        self._after = 0

    @property
    def here(self) -> int:
        """Characters of the file before the first word from here on."""
        text, at = self._body.text, self._after
        while at < len(text) and text[at].isspace():
            at += 1
        return start_in(self._body, at)

    def go_to(self, line: int | None, *, back: bool = False) -> None:
        """Look from a line of the body on; a line further up only if `back`."""
        known = line is not None and 0 < line <= len(self._line_starts)
        start = self._line_starts[line - 1] if line is not None and known else 0
        self._after = start if back else max(self._after, start)

    def fragment(self, query: str, mode: int) -> Fragment:
        """The fragment of a query, as a statement that can be parsed.

        Args:
            query: its text.
            mode: a statement, an expression or an assignment, by the parser's number.
        """
        text, shift = query, 0
        if mode != _WHOLE:
            match = ASSIGNMENT.match(query) if mode >= _FIRST_ASSIGNMENT else None
            shift = match.end() if match else 0
            text = SELECT + query[shift:]
        found = self._find(query)
        if found is None:
            return Fragment(text, self.here, exact=False)
        start = found + shift - (len(SELECT) if mode != _WHOLE else 0)
        return Fragment(text, start_in(self._body, start), self._body.exact)

    def _find(self, query: str) -> int | None:
        """Characters of the body before a query."""
        # INTO and its variables are blanked out by the parser, PERFORM is turned into SELECT.
        forms = (query, 0), (query.removeprefix(SELECT), len(SELECT)), (_BLANKED_INTO.split(query)[0], 0)
        for head, before in forms:
            at = self._body.text.find(head, self._after) if head.strip() else -1
            if at >= 0:
                self._after = at
                return at - before
        return None
