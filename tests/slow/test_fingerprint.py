"""The fingerprint of the live schema: whatever Directus' own diff can see changes it, ordinary operation does not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st

from supervisor.directus.fingerprint import Fingerprint, fingerprint_query
from supervisor.postgres.target import Target
from tests.database import Session
from tests.harness import Deployment

pytestmark = pytest.mark.directus

ORACLE = Path(__file__).parents[1] / "programs" / "snapshot_oracle.mjs"
TARGET = Target("127.0.0.1", 5432, "any", "any", None)
BASE = """
    CREATE TABLE base (
        id serial PRIMARY KEY, name varchar(20) DEFAULT 'a', amount numeric(8, 2), code text, made timestamptz,
        vehicle uuid REFERENCES vehicles (id) ON DELETE RESTRICT, number int, other uuid
    );
    CREATE TABLE plain (a int, b int);
    CREATE INDEX base_number ON base (number);
    ALTER TABLE base ADD CONSTRAINT base_code UNIQUE (code), ADD CONSTRAINT base_both UNIQUE (code, number);
    COMMENT ON COLUMN base.name IS 'what it is called';
    INSERT INTO directus_collections (collection) VALUES ('base');
    INSERT INTO directus_fields (collection, field)
         SELECT 'base', attname FROM pg_attribute WHERE attrelid = 'base'::regclass AND attnum > 0;
    INSERT INTO directus_fields (collection, field, special) VALUES ('base', 'notice', 'alias,no-data');
    INSERT INTO directus_relations (many_collection, many_field, one_collection) VALUES ('base', 'vehicle', 'vehicles');
    CREATE TABLE parted (day date, id int) PARTITION BY RANGE (day);
"""

# Each is an edit that Directus' diff sees: both sums change.
SEEN = {
    "a column": "ALTER TABLE base ADD extra int",
    "no column": "ALTER TABLE base DROP number",
    "a column's name": "ALTER TABLE base RENAME code TO label",
    "a type": "ALTER TABLE base ALTER number TYPE bigint",
    "a length": "ALTER TABLE base ALTER name TYPE varchar(21)",
    "a precision": "ALTER TABLE base ALTER amount TYPE numeric(9, 2)",
    "a scale": "ALTER TABLE base ALTER amount TYPE numeric(8, 3)",
    "a default": "ALTER TABLE base ALTER name SET DEFAULT 'b'",
    "a first default": "ALTER TABLE base ALTER number SET DEFAULT 0",
    "no default": "ALTER TABLE base ALTER name DROP DEFAULT",
    "not null": "ALTER TABLE base ALTER name SET NOT NULL",
    "a generated column": "ALTER TABLE base ADD twice int GENERATED ALWAYS AS (number * 2) STORED",
    "an identity": "ALTER TABLE plain ALTER a SET NOT NULL, ALTER a ADD GENERATED ALWAYS AS IDENTITY",
    "a unique constraint": "ALTER TABLE base ADD UNIQUE (number)",
    "no unique constraint": "ALTER TABLE base DROP CONSTRAINT base_code",
    "an index": "CREATE INDEX ON base (made)",
    "no index": "DROP INDEX base_number",
    "an index of a system table": "CREATE INDEX ON directus_users (email)",
    "a foreign key": "ALTER TABLE base ADD FOREIGN KEY (other) REFERENCES vehicles (id)",
    "no foreign key": "ALTER TABLE base DROP CONSTRAINT base_vehicle_fkey",
    "its action on delete": "ALTER TABLE base DROP CONSTRAINT base_vehicle_fkey, ADD CONSTRAINT base_vehicle_fkey"
    " FOREIGN KEY (vehicle) REFERENCES vehicles (id) ON DELETE CASCADE",
    "its action on update": "ALTER TABLE base DROP CONSTRAINT base_vehicle_fkey, ADD CONSTRAINT base_vehicle_fkey"
    " FOREIGN KEY (vehicle) REFERENCES vehicles (id) ON UPDATE SET NULL ON DELETE RESTRICT",
    "its target": "ALTER TABLE base DROP CONSTRAINT base_vehicle_fkey, ADD CONSTRAINT base_vehicle_fkey"
    " FOREIGN KEY (vehicle) REFERENCES devices (id) ON DELETE RESTRICT",
    "its name": "ALTER TABLE base RENAME CONSTRAINT base_vehicle_fkey TO another",
    "no primary key": "ALTER TABLE base DROP CONSTRAINT base_pkey",
    "a wider primary key": "ALTER TABLE base DROP CONSTRAINT base_pkey, ADD PRIMARY KEY (id, code)",
    "a primary key": "ALTER TABLE plain ADD PRIMARY KEY (a)",
    "the owner of a sequence": "ALTER SEQUENCE base_id_seq OWNED BY NONE",
    "a table": "CREATE TABLE more (id int)",
    "no table": "DROP TABLE plain",
    "a table's name": "ALTER TABLE plain RENAME TO simple",
    "a table's schema": "CREATE SCHEMA aside; ALTER TABLE plain SET SCHEMA aside",
    "a view": "CREATE VIEW seen AS SELECT a FROM plain",
    "a collection": "INSERT INTO directus_collections (collection) VALUES ('plain')",
    "no collection": "DELETE FROM directus_collections WHERE collection = 'base'",
    "a collection's note": "UPDATE directus_collections SET note = 'n' WHERE collection = 'base'",
    "a field": "INSERT INTO directus_fields (collection, field) VALUES ('plain', 'a')",
    "no field": "DELETE FROM directus_fields WHERE collection = 'base' AND field = 'notice'",
    "a field's options": """UPDATE directus_fields SET options = '{"a": 1}' WHERE field = 'notice'""",
    "an empty text": "UPDATE directus_fields SET note = '' WHERE field = 'notice'",
    "a field of a system table": "INSERT INTO directus_fields (collection, field) VALUES ('directus_users', 'phone2')",
    "a relation": "INSERT INTO directus_relations (many_collection, many_field) VALUES ('base', 'other')",
    "no relation": "DELETE FROM directus_relations WHERE many_collection = 'base'",
    "a relation's action": "UPDATE directus_relations SET one_deselect_action = 'x' WHERE many_collection = 'base'",
    "a tracked partition": "CREATE TABLE first PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');"
    "INSERT INTO directus_collections (collection) VALUES ('first')",
}
# Directus 11 passes these over: what boots compare changes, what certifies an apply does not.
PASSED_OVER = {
    "a composite unique constraint": "ALTER TABLE base ADD UNIQUE (name, number)",
    "no composite unique constraint": "ALTER TABLE base DROP CONSTRAINT base_both",
    "a check": "ALTER TABLE base ADD CHECK (number > 0)",
    "a composite index": "CREATE INDEX ON base (name, number)",
    "an expression index": "CREATE INDEX ON base (lower(name))",
    "a unique index": "CREATE UNIQUE INDEX ON base (made)",
    "a comment on a column": "COMMENT ON COLUMN base.name IS 'else'",
    "a comment on a table": "COMMENT ON TABLE base IS 'base'",
    "a right": "GRANT SELECT ON base TO public",
}
ORDINARY = {
    "rows": "INSERT INTO base (name) SELECT 'a' FROM generate_series(1, 1000); UPDATE base SET name = 'b';"
    "DELETE FROM base WHERE id % 2 = 0; INSERT INTO vehicles (id, make, model)"
    " SELECT gen_random_uuid(), 'a', 'b' FROM generate_series(1, 100)",
    "statistics": "INSERT INTO base (name) SELECT 'a' FROM generate_series(1, 1000); ANALYZE",
    "a sequence's value": "SELECT nextval('base_id_seq') FROM generate_series(1, 100)",
    "a new partition": "CREATE TABLE first PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');"
    "CREATE INDEX ON first (id)",
    "a chunk in another schema": "CREATE SCHEMA _timescaledb_internal; CREATE TABLE _timescaledb_internal.chunk"
    " (LIKE positions INCLUDING ALL) INHERITS (positions)",
    "the supervisor's own tables": "CREATE SCHEMA IF NOT EXISTS supervisor; CREATE TABLE supervisor.another (id int)",
    "a new oid": "DROP INDEX base_number; CREATE INDEX base_number ON base (number);"
    "DROP TABLE plain; CREATE TABLE plain (a int, b int)",
    "a rewritten table": "ALTER TABLE base SET (fillfactor = 50); CLUSTER base USING base_pkey",
    "users and items of Directus": "UPDATE directus_users SET last_page = '/x'; INSERT INTO directus_activity"
    " (action, collection, item) VALUES ('login', 'directus_users', '1')",
    "a temporary table": "CREATE TEMP TABLE base2 (id int)",
}


@pytest.fixture
def prepared(migrated_rally: Deployment, session: Session) -> Session:
    session.execute(BASE)
    return session


def fingerprint(session: Session) -> Fingerprint:
    query = fingerprint_query(TARGET)
    both = session.value(f"SELECT everything || ' ' || diffed FROM ({query}) AS sums")
    return Fingerprint(*both.split())


def after(session: Session, sql: str) -> Fingerprint:
    """The fingerprint after an edit, which is undone."""
    session.execute("BEGIN")
    try:
        session.execute(sql)
        return fingerprint(session)
    finally:
        session.execute("ROLLBACK")


def test_every_edit_that_directus_can_see_changes_both_sums(prepared: Session) -> None:
    before = fingerprint(prepared)
    for what, sql in SEEN.items():
        now = after(prepared, sql)
        assert now.diffed != before.diffed, what
        assert now.everything != before.everything, what
    assert fingerprint(prepared) == before


def test_what_sql_files_add_beside_the_snapshot_changes_what_boots_compare_alone(prepared: Session) -> None:
    before = fingerprint(prepared)
    for what, sql in PASSED_OVER.items():
        now = after(prepared, sql)
        assert now.diffed == before.diffed, what
        assert now.everything != before.everything, what


def test_ordinary_operation_does_not_change_it(prepared: Session) -> None:
    before = fingerprint(prepared)
    for what, sql in ORDINARY.items():
        assert after(prepared, sql) == before, what
    prepared.execute("VACUUM FULL base")
    prepared.execute("REINDEX TABLE base")
    assert fingerprint(prepared) == before


@dataclass
class Oracle:
    """The real Directus, asked for what it reads of the schema."""

    process: subprocess.Popen[str]

    def ask(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline()).startswith('{"'):
            assert line, "the oracle has ended"
        return line


@pytest.fixture
def oracle(migrated_rally: Deployment, node_binary: Path, directus_dir: Path) -> Iterator[Oracle]:
    api = directus_dir / "node_modules" / "@directus" / "api"
    environ = {**migrated_rally.environ, "LOG_LEVEL": "silent", "CACHE_SCHEMA": "false"}
    argv = [str(node_binary), str(ORACLE), str(api)]
    with subprocess.Popen(
        argv, env=environ, cwd=directus_dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


TYPES = ("int", "bigint", "text", "varchar(10)", "varchar(20)", "numeric(8, 2)", "numeric(9, 3)", "uuid", "json",
         "boolean", "timestamptz", "timestamp", "real", "char(3)", "bit(2)", "date", "int[]")  # fmt: skip
DEFAULTS = ("NULL", "0", "1", "'a'", "''", "now()", "true", "gen_random_uuid()")
ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
columns = st.sampled_from(("name", "amount", "code", "made", "vehicle", "number", "other", "id"))
tables = st.sampled_from(("base", "plain", "directus_users", "events"))
digits = st.integers(0, 9)
texts = st.sampled_from(("NULL", "''", "'a'", "'b'"))


def rows(table: str, where: str, columns: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda column, value: f"UPDATE {table} SET {column} = {value} WHERE {where}", st.sampled_from(columns), texts
    )


EDITS = st.one_of(
    st.builds("ALTER TABLE {} ALTER {} TYPE {} USING NULL".format, st.just("base"), columns, st.sampled_from(TYPES)),
    st.builds("ALTER TABLE base ALTER {} SET DEFAULT {}".format, columns, st.sampled_from(DEFAULTS)),
    st.builds("ALTER TABLE base ALTER {} SET DEFAULT '{}'".format, st.sampled_from(("name", "code")), digits),
    st.builds("ALTER TABLE base ALTER {} {} NOT NULL".format, columns, st.sampled_from(("SET", "DROP"))),
    st.builds("ALTER TABLE base ADD {} ({})".format, st.sampled_from(("UNIQUE", "PRIMARY KEY")), columns),
    st.builds("ALTER TABLE base ADD UNIQUE ({}, {})".format, columns, columns),
    st.builds("CREATE {} INDEX ON base ({})".format, st.sampled_from(("", "UNIQUE")), columns),
    st.builds("CREATE INDEX ON base ({}) INCLUDE ({})".format, columns, columns),
    st.builds("CREATE INDEX ON base ({}) WHERE number > 0".format, columns),
    st.builds(
        "ALTER TABLE base ADD FOREIGN KEY ({}) REFERENCES {} ON UPDATE {} ON DELETE {}".format,
        st.sampled_from(("vehicle", "other")),
        st.sampled_from(("vehicles", "devices", "directus_users")),
        st.sampled_from(ACTIONS),
        st.sampled_from(ACTIONS),
    ),
    st.builds("ALTER TABLE base DROP CONSTRAINT {}".format, st.sampled_from(("base_pkey", "base_code", "base_both"))),
    st.builds("ALTER TABLE base DROP CONSTRAINT base_{}_fkey".format, st.sampled_from(("vehicle", "other"))),
    st.builds("COMMENT ON COLUMN base.{} IS {}".format, columns, texts),
    st.builds("ALTER SEQUENCE base_id_seq OWNED BY {}".format, st.sampled_from(("NONE", "base.id", "base.number"))),
    st.builds("CREATE INDEX ON {} (id)".format, tables),
    st.sampled_from((
        "ALTER TABLE base ADD extra int; INSERT INTO directus_fields (collection, field) VALUES ('base', 'extra')",
        "ALTER TABLE base DROP IF EXISTS extra",
        "ALTER TABLE plain ADD PRIMARY KEY (a)",
        "INSERT INTO directus_collections (collection) VALUES ('plain')",
        "DELETE FROM directus_collections WHERE collection = 'plain'",
        "DROP TABLE IF EXISTS plain",
        "CREATE TABLE plain (a int, b int)",
        "CREATE VIEW plain AS SELECT 1 AS a",
        "INSERT INTO directus_fields (collection, field) SELECT 'base', 'notice'",
        "DELETE FROM directus_fields WHERE field = 'notice'",
        "INSERT INTO directus_relations (many_collection, many_field) VALUES ('base', 'other')",
        "CREATE INDEX ON directus_activity (action)",
        "ALTER TABLE directus_activity DROP COLUMN ip",
    )),
    rows("directus_collections", "collection = 'base'", ("note", "icon", "sort_field", "archive_field", '"group"')),
    rows("directus_fields", "collection = 'base'", ("note", "special", "interface", "display", "width", "conditions")),
    rows("directus_relations", "many_collection = 'base'", ("one_field", "one_collection", "sort_field")),
)  # fmt: skip


def test_whenever_directus_reads_another_schema_the_sum_is_another(prepared: Session, oracle: Oracle) -> None:
    state = {"fingerprint": fingerprint(prepared), "snapshot": oracle.ask()}
    counted = {"seen": 0, "unseen": 0}

    @settings(
        max_examples=250,
        derandomize=True,
        deadline=None,
        phases=(HypothesisPhase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(EDITS)
    def edit(sql: str) -> None:
        try:
            prepared.execute(sql)
        except asyncpg.PostgresError:
            return
        now, snapshot = fingerprint(prepared), oracle.ask()
        before, state["fingerprint"] = state["fingerprint"], now
        known, state["snapshot"] = state["snapshot"], snapshot
        if snapshot != known:
            counted["seen"] += 1
            assert isinstance(before, Fingerprint)
            assert now.diffed != before.diffed, sql
            assert now.everything != before.everything, sql
        else:
            counted["unseen"] += 1

    edit()
    assert min(counted.values()) >= 10, counted
