"""The three forms in which findings are shown."""

from __future__ import annotations

import json

from supervisor.check.finding import Finding, Severity
from supervisor.check.report import as_github, as_json, as_text
from supervisor.check.source import Source

ERROR = Finding("sql/a.sql", 2, 4, "syntax", Severity.ERROR, "it is wrong", "Correct it.")
WARNING = Finding("sql/a.sql", 1, 1, "crlf", Severity.WARNING, "100% wrong:\nreally, yes", "Save it.")
SOURCES = {"sql/a.sql": Source("sql/a.sql", "first\n\tä\x1bz = 1\n")}


def test_text_has_the_line_with_a_caret_and_the_remedy() -> None:
    assert as_text([ERROR], SOURCES, 1).split("\n") == [
        "sql/a.sql:2:4: syntax: it is wrong",
        "   ä?z = 1",
        "     ^",
        "  remedy: Correct it.",
        "",
        "1 error, 0 warnings in 1 SQL file",
    ]


def test_text_says_which_are_warnings() -> None:
    assert "  warning; remedy: Save it." in as_text([WARNING], {}, 2)


def test_a_very_long_line_is_shown_around_the_place() -> None:
    line = "x" * 5000 + "HERE" + "x" * 5000
    found = Finding("a", 1, 5001, "syntax", Severity.ERROR, "m", "r")
    _, shown, caret, *_ = as_text([found], {"a": Source("a", line)}, 1).split("\n")
    assert len(shown) < 200
    assert shown[caret.index("^") :].startswith("HERE")


def test_no_findings_are_said_in_one_line() -> None:
    assert as_text([], {}, 3) == "no findings in 3 SQL files"


def test_json_has_every_field_and_the_sums() -> None:
    document = json.loads(as_json([ERROR, WARNING], 4))
    assert (document["errors"], document["warnings"], document["files"]) == (1, 1, 4)
    assert document["findings"][0] == {
        "file": "sql/a.sql",
        "line": 2,
        "column": 4,
        "code": "syntax",
        "severity": "error",
        "message": "it is wrong",
        "remedy": "Correct it.",
        "relation": None,
    }


def test_github_gets_one_escaped_command_for_each() -> None:
    assert as_github([ERROR, WARNING], 1).split("\n")[:2] == [
        "::error file=sql/a.sql,line=2,col=4,title=syntax::it is wrong. Correct it.",
        "::warning file=sql/a.sql,line=1,col=1,title=crlf::100%25 wrong:%0Areally, yes. Save it.",
    ]
