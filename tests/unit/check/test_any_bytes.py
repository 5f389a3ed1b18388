"""Whatever a file holds, `check` answers with findings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.check.corpus import CASES
from tests.unit.check.judging import judged

PIECES = st.sampled_from([
    "DO $$", "$$", "BEGIN", "END", ";", "SELECT", "FROM", "events", "IF", "THEN", "END IF;", "(", ")", "'", '"', "\\i x",
    "CREATE TABLE", "t", "(id int)", "EXECUTE", "format('%I', 'x')", "::regclass", "--", "/*", "*/", "\n", "ä", "LANGUAGE sql",
    "AS", "CREATE FUNCTION f()", "RETURNS int", "WITH events AS (", "COPY t FROM STDIN;", "\\.", "%ROWTYPE", "DECLARE r", "$1",
    "EXCEPTION WHEN OTHERS THEN", "-- supervisor: no-transaction", "SET search_path = ''", "ALTER TABLE", "RENAME TO", ":=",
])  # fmt: skip


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_any_bytes_are_judged(data: bytes, snapshot: bytes) -> None:
    for each in judged(pre={"001_a.sql": data}, snapshot=snapshot):
        assert each.line >= 1
        assert each.column >= 1


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=25))
def test_any_scraps_of_sql_are_judged(pieces: list[str]) -> None:
    text = " ".join(pieces)
    for each in judged(pre={"001_a.sql": text}):
        assert 1 <= each.line <= text.count("\n") + 1
        assert 1 <= each.column <= len(text.split("\n")[each.line - 1]) + 1


@settings(max_examples=200)
@given(st.sampled_from(CASES), st.integers(0, 400), st.text(max_size=3))
def test_a_file_that_is_broken_anywhere_is_judged(case: object, at: int, scrap: str) -> None:
    sql = str(getattr(case, "sql", ""))
    judged(pre={"001_a.sql": (sql[:at] + scrap + sql[at + 1 :]).encode("utf-8", "surrogatepass")})


def test_nesting_without_end_is_judged() -> None:
    for text in ("SELECT " + "(" * 20_000, "SELECT " + "-" * 20_000 + "1", "SELECT " + "NOT " * 5_000 + "true;"):
        judged(pre={"001_a.sql": text})
