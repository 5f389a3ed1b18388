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
OUT_OF_HEAP = """\
<--- Last few GCs --->
[13:0x7f]     6123 ms: Mark-Compact 59.5 (61.2) -> 59.1 (61.4) MB, allocation failure; GC in old space requested

<--- JS stacktrace --->

FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
----- Native stack trace -----

 1: 0xe3e62f node::OOMErrorHandler(char const*, v8::OOMDetails const&) [/usr/local/bin/node]
10: 0x1e0a476  [/usr/local/bin/node]
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (UNCAUGHT, 'error: database "rally" is not currently accepting connections'),
        (
            "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'x'\n    at a",
            "Error: Cannot find module 'x'",
        ),
        (OUT_OF_HEAP, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
        ("one\ntwo", "two"),
        ("  at nothing\n}", "}"),
    ],
)
def test_the_sentence_is_shown_rather_than_the_dump_around_it(output: str, words: str) -> None:
    assert last_words(output.splitlines()) == words


def test_silence_has_no_last_words() -> None:
    assert last_words([]) is None
