"""What a CREATE INDEX CONCURRENTLY is about, read from its text."""

from __future__ import annotations

from typing import Any

import pglast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.postgres.concurrent_index import ConcurrentIndex, concurrent_index, waits_harmlessly
from supervisor.postgres.splitter import Statement, split


def one(sql: str) -> Statement:
    (statement,) = split(sql)
    return statement


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", ConcurrentIndex("i", "t")),
        (
            "create unique index concurrently if not exists I on only Public.T using gin (a)",
            ConcurrentIndex("i", "Public.T"),
        ),
        ('CREATE INDEX CONCURRENTLY "A ""b"";" ON "My s" . "t" (a)', ConcurrentIndex('A "b";', '"My s"."t"')),
        ("CREATE /* x */ INDEX -- y\n CONCURRENTLY i ON t(a)", ConcurrentIndex("i", "t")),
        ("CREATE INDEX CONCURRENTLY ON t (a)", ConcurrentIndex(None, "t")),
    ],
)
def test_name_and_table_are_read(sql: str, index: ConcurrentIndex) -> None:
    assert concurrent_index(one(sql)) == index


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON t (a)",
        'CREATE INDEX "concurrently" ON t (a)',
        "DROP INDEX CONCURRENTLY i",
        "CREATE TABLE t (concurrently int)",
        "SELECT 'CREATE INDEX CONCURRENTLY i ON t (a)'",
    ],
)
def test_another_statement_is_none(sql: str) -> None:
    assert concurrent_index(one(sql)) is None


names = st.from_regex(r'[a-zA-Z_][a-zA-Z0-9_$]{0,6}|"[ -~]{1,6}"', fullmatch=True).filter(
    lambda name: name.count('"') in {0, 2}
)


@settings(max_examples=40)
@given(names, names, names, st.booleans(), st.booleans(), st.sampled_from([" ", "\n", " /* ; */ ", " -- x\n"]))
def test_any_name_is_read_as_postgres_reads_it(
    name: str, schema: str, table: str, unique: bool, guarded: bool, blank: str
) -> None:
    words = [
        "CREATE",
        *(["UNIQUE"] if unique else []),
        "INDEX",
        "CONCURRENTLY",
        *(["IF NOT EXISTS"] if guarded else []),
    ]
    sql = blank.join([*words, name, "ON", f"{schema}.{table}", "(a)"])
    try:
        parsed: Any = pglast.parse_sql(sql)[0].stmt
    except pglast.parser.ParseError:
        return
    index = concurrent_index(one(sql))
    assert index is not None
    assert index.name == parsed.idxname
    assert index.table == f"{schema}.{table}"


@pytest.mark.parametrize(
    ("sql", "harmless"),
    [
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", True),
        ("DROP INDEX CONCURRENTLY i", True),
        ("REINDEX (VERBOSE) INDEX CONCURRENTLY i", True),
        ("CREATE INDEX i ON t (a)", False),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", False),
        ("ALTER TABLE t ADD x int", False),
    ],
)
def test_only_what_blocks_nobody_may_wait_without_limit(sql: str, harmless: bool) -> None:
    assert waits_harmlessly(one(sql)) is harmless
