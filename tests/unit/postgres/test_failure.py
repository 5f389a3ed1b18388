"""A failed statement, told with file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.failure import sql_failure
from supervisor.postgres.remedies import BY_SQLSTATE
from supervisor.postgres.sqlfile import SqlFile, parse_file


def server_says(sqlstate: str = "42601", message: str = "syntax error", **fields: str) -> asyncpg.PostgresError:
    """An error as asyncpg makes it of the server's message."""
    letters = {
        "position": "P",
        "internal_position": "p",
        "internal_query": "q",
        "detail": "D",
        "hint": "H",
        "context": "W",
        "constraint": "n",
    }
    told = {"S": "ERROR", "C": sqlstate, "M": message} | {letters[name]: value for name, value in fields.items()}
    error: Any = asyncpg.PostgresError.new(told, None)
    assert isinstance(error, asyncpg.PostgresError)
    return error


def script(text: str) -> SqlFile:
    return parse_file(Path("/sql/post-schema/007_x.sql"), text.encode())


def explain(
    text: str,
    error: asyncpg.PostgresError,
    statement: int | None = 0,
    missing: str | None = None,
    kept: int = 0,
) -> SupervisorError:
    file = script(text)
    one = None if statement is None else file.statements[statement]
    return sql_failure(error, file, one, lambda _name: missing, kept=file.statements[:kept])


@pytest.mark.parametrize(
    ("text", "statement", "position", "place"),
    [
        ("SELEC 1;", 0, 1, "1:1"),
        ("SELECT 1;\n\n  SELEC 2;", 1, 1, "3:3"),
        ("SELECT 1;\nSELECT\n  a,\n  b c d;", 1, 17, "4:5"),
        ("SELECT 'äöü😀', nope;", 0, 16, "1:16"),
        ("-- ÄÖÜ 😀\nSELECT 'ß',\n nope;", 0, 14, "3:2"),
    ],
)
def test_the_position_becomes_line_and_column_of_the_file(text: str, statement: int, position: int, place: str) -> None:
    failure = explain(text, server_says(position=str(position)), statement)
    assert failure.failure is errors.SQL_FAILED
    assert failure.exit_code == 3
    assert failure.message == f"post-schema/007_x.sql:{place}: syntax error (SQLSTATE 42601)"
    assert failure.facts["line"] == int(place.partition(":")[0])


def test_the_same_place_is_found_by_looking() -> None:
    text = "SELECT 1;\n/* ü */ SELECT 'ä',\n   nope,\n   1;"
    statement = script(text).statements[1].text
    failure = explain(text, server_says(position=str(statement.index("nope") + 1)), 1)
    line, column = (int(part) for part in failure.message.split(":")[1:3])
    assert text.split("\n")[line - 1][column - 1 :].startswith("nope")


def test_without_a_position_the_statement_s_first_line_is_told() -> None:
    assert explain("SELECT 1;\n\nINSERT INTO t\nVALUES (1);", server_says(), 1).message.startswith(
        "post-schema/007_x.sql:3: "
    )


@pytest.mark.parametrize("text", ["SELECT 1;\nSELECT 2;\nSELECT 3;", "SELECT 1;\nSELECT 2;\nSELECT 3;\n\n"])
def test_a_failure_at_the_commit_is_told_at_the_last_line(text: str) -> None:
    assert explain(text, server_says(), None).message.startswith("post-schema/007_x.sql:3: ")


def test_what_else_the_server_said_is_kept() -> None:
    failure = explain("SELECT 1", server_says(detail="d", hint="h", context="w", constraint="c"))
    assert failure.facts == {
        "file": "post-schema/007_x.sql",
        "line": 1,
        "sqlstate": "42601",
        "detail": "d",
        "hint": "h",
        "where": "w",
        "constraint": "c",
        "excerpt": "1 | SELECT 1\n  | ^",
    }


@pytest.mark.parametrize("relation", ["entries", "public.entries", "My table"])
def test_a_missing_relation_is_asked_about_by_its_name(relation: str) -> None:
    asked: list[str] = []

    def answer(name: str) -> str:
        asked.append(name)
        return "Move it."

    file = script("SELECT 1")
    error = server_says("42P01", f'relation "{relation}" does not exist')
    assert sql_failure(error, file, file.statements[0], answer).remedy == "Move it."
    assert asked == [relation.removeprefix("public.")]


def test_where_nothing_is_known_of_the_relation_the_remedy_of_its_state_stays() -> None:
    error = server_says("42P01", 'relation "x" does not exist')
    assert explain("SELECT 1", error, missing=None).remedy == BY_SQLSTATE["42P01"]


def test_another_failure_asks_nobody() -> None:
    error = server_says("42703", 'column "x" of relation "entries" does not exist')
    assert explain("SELECT 1", error, missing="Move it.").remedy == BY_SQLSTATE["42703"]


@pytest.mark.parametrize(
    ("line", "column", "told"),
    [
        ("SELECT nope;", 8, "1 | SELECT nope;\n  |        ^"),
        ("\tSELECT\tnope;", 9, "1 | \tSELECT\tnope;\n  | \t      \t^"),
        ("SELECT " + "'x', " * 50 + "nope;", 258, None),
    ],
)
def test_the_caret_stands_below_the_place(line: str, column: int, told: str | None) -> None:
    position = len(line[: column - 1].lstrip()) + 1
    shown = explain(line, server_says(position=str(position))).facts["excerpt"]
    above, below = shown.split("\n")
    assert above[below.index("^")] == line[column - 1]
    assert len(above) < 120
    assert told is None or shown == told


def test_of_a_file_without_a_transaction_it_is_told_what_is_kept_and_how_to_guard_it() -> None:
    text = '-- supervisor: no-transaction\nSELECT 1;\nSELECT 2;\nCREATE INDEX CONCURRENTLY "I" ON t (a);'
    failure = explain(text, server_says("23505", "could not create unique index"), 2, kept=2)
    assert "2 of its 3 statements ran and are kept (lines 2, 3)" in failure.message
    assert "index 'I' invalid" in failure.message
    assert "guard those that ran" in failure.remedy
    assert BY_SQLSTATE["23505"] in failure.remedy
    assert failure.facts["kept_lines"] == [2, 3]
    assert "first statement" in explain(text, server_says(), 0).message


@pytest.mark.parametrize("sqlstate", BY_SQLSTATE)
def test_each_remedy_is_one_short_text(sqlstate: str) -> None:
    remedy = explain("SELECT 1", server_says(sqlstate)).remedy
    assert remedy == BY_SQLSTATE[sqlstate]
    assert remedy.endswith(".")
    assert len(remedy) < 160


def test_a_statement_that_releases_the_lock_is_not_sent_to_a_file_without_a_transaction() -> None:
    said = server_says("25001", "DISCARD ALL cannot run inside a transaction block")
    assert explain("DISCARD ALL;", said).remedy.startswith("Take it out")
    assert "no-transaction" in explain("VACUUM;", server_says("25001", "VACUUM cannot run")).remedy


def test_a_statement_that_needs_a_transaction_is_sent_to_a_file_with_one() -> None:
    said = server_says("25P01", "LOCK TABLE can only be used in transaction blocks")
    assert "without the directive" in explain("-- supervisor: no-transaction\nLOCK TABLE t;", said).remedy
