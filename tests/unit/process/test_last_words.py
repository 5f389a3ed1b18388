"""Which line of a dead process is shown to the operator."""

from __future__ import annotations

import pytest

from supervisor.process.last_words import last_words

UNCAUGHT = """\
Initializing bootstrap...
/directus/node_modules/pg-protocol/dist/parser.js:285
        const message = new messages_1.DatabaseError(messageValue, length, name)
                        ^

error: database "rally" is not currently accepting connections
    at Parser.parseErrorMessage (/directus/node_modules/pg-protocol/dist/parser.js:285:98)
    at TCP.onStreamRead (node:internal/stream_base_commons:189:23) {
  length: 129,
  severity: 'FATAL',
  [cause]: undefined
}

Node.js v22.13.0
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (UNCAUGHT, 'error: database "rally" is not currently accepting connections'),
        (
            "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'x'\n    at a",
            "Error: Cannot find module 'x'",
        ),
        ("one\ntwo", "two"),
        ("  at nothing\n}", "}"),
    ],
)
def test_the_sentence_is_shown_rather_than_the_dump_around_it(output: str, words: str) -> None:
    assert last_words(output.splitlines()) == words


def test_silence_has_no_last_words() -> None:
    assert last_words([]) is None
