"""The tables that SQL files make, found in their text."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.postgres.created_tables import created_tables, may_create_tables
from supervisor.postgres.sqlfile import load_tree, parse_file

PROJECT = Path(__file__).parents[3]


def created(script: str) -> set[str]:
    return set(created_tables([parse_file(Path("001_a.sql"), script.encode())], "public")) - {"migrations_applied"}


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("CREATE TABLE a (x int);", {"a"}),
        ("create table if not exists A (x int)", {"a"}),
        ('CREATE UNLOGGED TABLE public."Mixed ""Case" (x int);', {'Mixed "Case'}),
        ("CREATE TABLE other.a (x int);", set()),
        ("CREATE OR REPLACE VIEW v AS SELECT 1;", {"v"}),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1;", {"m"}),
        ("CREATE TABLE s AS SELECT 1 AS x;", {"s"}),
        ("CREATE TEMP TABLE t (x int);", set()),
        ("-- CREATE TABLE a (x int)\nSELECT 'CREATE TABLE b (x int)';", set()),
        ("DO $$ BEGIN IF true THEN CREATE TABLE inside (x int); END IF; END $$;", {"inside"}),
        ("DO $body$ BEGIN EXECUTE $q$ CREATE TABLE deep (x int) $q$; END $body$;", {"deep"}),
        ("CREATE INDEX i ON a (x); ALTER TABLE b ADD c int;", set()),
    ],
)
def test_what_a_script_creates_is_found(script: str, names: set[str]) -> None:
    assert created(script) == names
    assert may_create_tables(script) or not names


def test_a_script_without_the_words_needs_no_second_look() -> None:
    assert not may_create_tables("ALTER TABLE a ADD CONSTRAINT b UNIQUE (c); SELECT 1;")


def test_the_rally_deployment_owns_its_positions_and_the_record_of_its_files() -> None:
    assert created_tables(load_tree(PROJECT / "sql").all, "public") == {"positions", "migrations_applied"}
