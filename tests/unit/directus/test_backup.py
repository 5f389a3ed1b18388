"""What the database says about a loss, and that what was copied out comes back byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor import errors
from supervisor.directus.backup import Occasion, back_up
from supervisor.directus.backup_files import MANIFEST
from supervisor.directus.backup_manifest import read_backup
from supervisor.directus.diff import Change
from supervisor.directus.evidence import find_losses, tables_in_question
from supervisor.directus.losses import Loss
from supervisor.directus.restore import restore
from supervisor.directus.restore_command import describe
from supervisor.errors import SupervisorError
from tests.unit.captured import Captured

if TYPE_CHECKING:
    from supervisor.dev.postgres import PostgresCluster
    from supervisor.postgres.connect import Connection

pytestmark = pytest.mark.anyio

OCCASION = Occasion(
    "00112233445566ff", "here/test", "schema.yaml", "11.17.4", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
)
DROP_TABLE = Change("collection", "delete", "sponsors", None)

# The least of Directus' own tables that the backup reads and the restore fills.
DIRECTUS = """
    CREATE TABLE directus_collections (collection varchar(64) PRIMARY KEY, icon text, "group" varchar(64)
        REFERENCES directus_collections);
    CREATE TABLE directus_fields (id serial PRIMARY KEY, collection text NOT NULL, field text NOT NULL, options json);
    CREATE TABLE directus_relations (id serial PRIMARY KEY, many_collection text NOT NULL, many_field text NOT NULL,
        one_collection text, one_field text);
    CREATE TABLE directus_permissions (id serial PRIMARY KEY, collection text NOT NULL, action text NOT NULL,
        policy uuid NOT NULL);
    CREATE TABLE directus_presets (id serial PRIMARY KEY, collection text, bookmark text);
    CREATE TABLE directus_activity (id serial PRIMARY KEY, action text NOT NULL, collection text NOT NULL, item text);
    CREATE TABLE directus_revisions (id serial PRIMARY KEY, activity int NOT NULL REFERENCES directus_activity ON DELETE
        CASCADE, collection text NOT NULL, data json, parent int REFERENCES directus_revisions);
    INSERT INTO directus_presets (collection, bookmark) VALUES ('sponsors', 'Mine'), ('rides', 'Others');
    INSERT INTO directus_activity (action, collection, item)
        SELECT 'update', CASE i % 2 WHEN 0 THEN 'rides' ELSE 'sponsors' END, i FROM generate_series(1, 40) i;
    INSERT INTO directus_revisions (activity, collection, data)
        SELECT id, collection, '{"name": "Zoë"}' FROM directus_activity WHERE id % 2 = 1;
    UPDATE directus_revisions SET parent = nullif(id - 1, 0);
    INSERT INTO directus_collections VALUES ('club', 'folder', NULL), ('sponsors', 'money', 'club');
    INSERT INTO directus_fields (id, collection, field, options)
        VALUES (70, 'sponsors', 'name', '{"choices": [1.50, "ü"]}'), (71, 'rides', 'sponsor', NULL),
               (72, 'sponsors', 'rides', NULL);
    INSERT INTO directus_relations (id, many_collection, many_field, one_collection, one_field)
        VALUES (9, 'rides', 'sponsor', 'sponsors', 'rides');
    INSERT INTO directus_permissions (id, collection, action, policy)
        VALUES (5, 'sponsors', 'read', '11111111-1111-1111-1111-111111111111');
"""
TABLES = r"""
    CREATE TYPE mood AS ENUM ('glad', 'it''s fine');
    CREATE TABLE sponsors (
        id serial PRIMARY KEY, uid uuid UNIQUE, name varchar(40) NOT NULL DEFAULT 'nobody',
        "Odd ""Name" text COLLATE "C",
        amount numeric(12,4), ratio double precision, small real, blob bytea, doc json, docb jsonb, tags text[],
        matrix int[][], born date, at timestamptz, local timestamp, span interval, clock timetz, feeling mood,
        net inet, flag boolean, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
        number bigint GENERATED ALWAYS AS IDENTITY (START WITH 500),
        CHECK (amount >= 0), CONSTRAINT "one name" UNIQUE (name, born));
    CREATE INDEX sponsors_name ON sponsors (lower(name)) WHERE flag;
    CREATE TABLE rides (id int PRIMARY KEY, sponsor int REFERENCES sponsors ON DELETE SET NULL);
    INSERT INTO sponsors (uid, name, "Odd ""Name", amount, ratio, small, blob, doc, docb, tags, matrix, born, at, local,
                          span, clock, feeling, net, flag) VALUES
      ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E'Zoë \U0001F3C1\ttab\nline\\back', '', 12345678.1234, 0.1::float8 + 0.2,
       1.1, '\x00ff5c6e', '{"b": 1,  "a": [1.10]}',
       '{"b": 1, "a": [1.10]}', '{"a,b","",NULL,"\\N"}', '{{1,2},{3,NULL}}',
       '0044-03-15 BC', '2024-02-29 23:59:59.999999+05:30', 'infinity', '1 year -2 mons 3 days 04:05:06.789',
       '12:00:00.5+02', 'it''s fine', '10.1.2.3/8', true),
      (NULL, '\N', NULL, NULL, 'NaN', '-Infinity', '', NULL, 'null', '{}', NULL, NULL, '-infinity', NULL, NULL, NULL,
       NULL, NULL, NULL);
    INSERT INTO sponsors (name, amount, ratio) SELECT 'row ' || i, i / 7.0, random() FROM generate_series(1, 3000) i;
    INSERT INTO rides VALUES (1, 1), (2, NULL);
    DELETE FROM sponsors WHERE id = 17;
"""
# All that pg_dump would say of the table, as far as it is ours to bring back.
SHAPE = """
    SELECT string_agg(line, E'\n' ORDER BY line) FROM (
        SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || attidentity::text
               || attgenerated::text || coalesce(pg_get_expr(adbin, adrelid), '-') || attcollation AS line
          FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE attrelid = 'sponsors'::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT 'constraint ' || conname || pg_get_constraintdef(oid) FROM pg_constraint
         WHERE 'sponsors'::regclass IN (conrelid, confrelid)
        UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'sponsors'
        UNION ALL SELECT 'sequence ' || schemaname || sequencename || coalesce(last_value, -1) FROM pg_sequences
         WHERE sequencename LIKE 'sponsors%') AS lines
"""
ROWS = "SELECT md5(string_agg(s::text, E'\n' ORDER BY id)) || count(*) FROM sponsors s"
NAMES = "SELECT md5(string_agg(concat(id, name), '' ORDER BY id)) FROM sponsors"
DIRECTUS_ROWS = """
    SELECT string_agg(row, E'\n' ORDER BY row) FROM (
        SELECT c::text AS row FROM directus_collections c
        UNION ALL SELECT (f.collection, f.field, f.options)::text FROM directus_fields f
        UNION ALL SELECT (many_collection, many_field, one_collection, one_field)::text FROM directus_relations
        UNION ALL SELECT (p.collection, p.action, p.policy)::text FROM directus_permissions p
        UNION ALL SELECT p::text FROM directus_presets p UNION ALL SELECT a::text FROM directus_activity a
        UNION ALL SELECT r::text FROM directus_revisions r) AS rows
"""
FORGET = """
    DELETE FROM directus_relations; DELETE FROM directus_permissions;
    DELETE FROM directus_fields WHERE field <> 'sponsor';
    DELETE FROM directus_collections WHERE collection = 'sponsors';
    DELETE FROM directus_presets WHERE collection = 'sponsors'; DELETE FROM directus_revisions;
    DELETE FROM directus_activity WHERE collection = 'sponsors';
"""


@pytest.fixture
async def connection(cluster: PostgresCluster, database: str, captured: Captured) -> AsyncIterator[Connection]:
    connection: Connection = await cluster.connect(database)
    assert not captured.lines
    await connection.execute(DIRECTUS + TABLES)
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def altered(name: str, kind: str, **schema: object) -> Change:
    before = {"type": kind, "schema": {"is_nullable": True, "is_unique": False}}
    after = {"type": kind, "schema": {"is_nullable": True, "is_unique": False, **schema}}
    return Change("field", "change", "sponsors", name, before, after, alters_column=True)


async def losses_of(connection: Connection, *changes: Change) -> tuple[Loss, ...]:
    return await find_losses(connection, "public", changes)


async def copy_out(connection: Connection, folder: Path, *changes: Change) -> Path:
    return await back_up(connection, folder, await losses_of(connection, *changes), "public", OCCASION)


async def test_a_table_comes_back_byte_for_byte_with_all_that_hung_on_it(connection: Connection, folder: Path) -> None:
    async def everything() -> list[object]:
        return [await connection.fetchval(query) for query in (SHAPE, ROWS, DIRECTUS_ROWS)]

    before = await everything()
    path = await copy_out(connection, folder, DROP_TABLE)
    await connection.execute("ALTER TABLE rides DROP CONSTRAINT rides_sponsor_fkey; DROP TABLE sponsors;" + FORGET)

    backup = read_backup(path)
    assert "3001 rows  collection sponsors (3001 rows)" in describe(backup)
    done = await restore(connection, backup)
    assert done == [
        '"public"."sponsors": made again, with 3001 rows',
        "directus_presets: 1 of 1 rows brought back",
        "directus_activity: 20 of 20 rows brought back",
        "directus_revisions: 20 of 20 rows brought back",
    ]
    assert await everything() == before
    # The sequences go on where they were, so that no key is given twice.
    assert await connection.fetchval("INSERT INTO sponsors (name) VALUES ('next') RETURNING id") == 3003


async def test_a_column_comes_back_to_the_rows_it_belonged_to(connection: Connection, folder: Path) -> None:
    before = (
        await connection.fetchval(SHAPE),
        await connection.fetchval(NAMES),
    )
    change = Change("field", "delete", "sponsors", "name")
    path = await copy_out(connection, folder, change)
    await connection.execute("ALTER TABLE sponsors DROP COLUMN name; DELETE FROM directus_fields WHERE id = 70")

    done = await restore(connection, read_backup(path))
    assert done == ["sponsors.name: 3001 values brought back"]
    after = (
        await connection.fetchval(SHAPE),
        await connection.fetchval(NAMES),
    )
    assert after == before
    assert await connection.fetchval("SELECT count(*) FROM directus_fields WHERE field = 'name'") == 1


async def test_a_narrowed_column_becomes_wide_again_unless_it_was_written_since(
    connection: Connection, folder: Path
) -> None:
    await connection.execute('ALTER TABLE sponsors DROP CONSTRAINT "one name"')
    narrow = altered("name", "string", max_length=5)
    (loss,) = await losses_of(connection, narrow)
    assert (loss.detail, loss.count) == ("character varying(40) to character varying(5)", 2991)
    before = await connection.fetchval(NAMES)
    path = await copy_out(connection, folder, narrow)
    await connection.execute("ALTER TABLE sponsors ALTER COLUMN name TYPE varchar(5) USING name::varchar(5)")

    await connection.execute("UPDATE sponsors SET name = 'mine' WHERE id = 40")
    with pytest.raises(SupervisorError, match=r"1 rows of .* have another value in name since") as refused:
        await restore(connection, read_backup(path))
    assert refused.value.failure is errors.RESTORE_REFUSED
    await connection.execute("UPDATE sponsors SET name = 'row 3' WHERE id = 40")
    await restore(connection, read_backup(path))
    assert await connection.fetchval(NAMES) == before


async def test_rows_that_are_there_are_never_written_over(connection: Connection, folder: Path) -> None:
    path = await copy_out(connection, folder, DROP_TABLE)
    before = await connection.fetchval(ROWS)
    await connection.execute("DELETE FROM sponsors WHERE id > 2000")
    assert await restore(connection, read_backup(path)) == [
        '"public"."sponsors": 1002 of 3001 rows brought back, the others were there',
        "directus_presets: 0 of 1 rows brought back",
        "directus_activity: 0 of 20 rows brought back",
        "directus_revisions: 0 of 20 rows brought back",
    ]
    assert await connection.fetchval(ROWS) == before

    await connection.execute("DELETE FROM sponsors WHERE id > 2000; UPDATE sponsors SET ratio = 4 WHERE id = 5")
    with pytest.raises(SupervisorError, match=r"1 rows of .* have a key of the backup, and other values"):
        await restore(connection, read_backup(path))
    assert await connection.fetchval("SELECT count(*) FROM sponsors WHERE id > 2000") == 0

    await connection.execute("ALTER TABLE sponsors ALTER COLUMN net TYPE text")
    with pytest.raises(SupervisorError, match="column net was inet; the table that is there has it as text"):
        await restore(connection, read_backup(path))


async def test_a_backup_is_for_its_owner_alone_and_names_what_it_holds(connection: Connection, folder: Path) -> None:
    path = await copy_out(connection, folder, DROP_TABLE, Change("field", "delete", "rides", "sponsor"))
    again = await copy_out(connection, folder, DROP_TABLE)
    assert (path.name, again.name) == ("20260102T030405Z-00112233445566ff", "20260102T030405Z-00112233445566ff-2")
    assert sorted(entry.name for entry in folder.iterdir()) == [path.name, again.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}
    manifest = json.loads((path / MANIFEST).read_text())
    assert [(item["name"], item["rows"]) for item in manifest["items"]] == [("sponsors", 3001), ("rides.sponsor", 2)]
    assert manifest["digest"] == OCCASION.digest
    assert gzip.decompress((path / manifest["items"][1]["file"]).read_bytes()) == b"1\t1\n2\t\\N\n"


async def test_a_backup_that_was_damaged_is_not_restored(connection: Connection, folder: Path) -> None:
    path = await copy_out(connection, folder, DROP_TABLE)
    data = path / "001.copy.gz"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(SupervisorError, match="not as it was written") as damaged:
        read_backup(path)
    assert damaged.value.failure is errors.BACKUP_UNUSABLE
    (path / MANIFEST).write_text("{}")
    with pytest.raises(SupervisorError, match="not one of ours"):
        read_backup(path)
    with pytest.raises(SupervisorError, match="No such file"):
        read_backup(folder / "gone")


async def test_a_backup_that_cannot_be_written_leaves_nothing_behind(
    connection: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SupervisorError, match="No space left on device; nothing was dropped") as failed:
        await copy_out(connection, folder, DROP_TABLE)
    assert failed.value.failure is errors.SCHEMA_BACKUP_FAILED
    assert list(folder.iterdir()) == []
    with pytest.raises(SupervisorError, match="not a folder that is there"):
        await copy_out(connection, folder / "unmounted", DROP_TABLE)


async def test_rows_that_a_policy_hides_are_no_reason_for_half_a_backup(connection: Connection, folder: Path) -> None:
    losses = await losses_of(connection, DROP_TABLE)
    await connection.execute("""
        CREATE ROLE hidden NOLOGIN; GRANT USAGE ON SCHEMA public TO hidden;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO hidden;
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO hidden;
        ALTER TABLE sponsors ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON sponsors USING (id < 5);
    """)
    try:
        await connection.execute("SET ROLE hidden")
        with pytest.raises(SupervisorError, match="row-level security"):
            await back_up(connection, folder, losses, "public", OCCASION)
    finally:
        await connection.execute("RESET ROLE; DROP OWNED BY hidden; DROP ROLE hidden")
    assert list(folder.iterdir()) == []


async def test_the_database_says_what_a_change_would_lose(connection: Connection) -> None:
    await connection.execute("CREATE VIEW shown AS SELECT 1 AS id; CREATE TABLE bare (id int PRIMARY KEY, note text)")
    required = {"type": "string", "schema": {"is_nullable": False, "default_value": None}}
    changes = {
        "an empty table": Change("collection", "delete", "bare", None),
        "a folder": Change("collection", "delete", "club", None),
        "a view": Change("collection", "delete", "shown", None),
        "values": Change("field", "delete", "sponsors", "blob"),
        "nothing but nulls": Change("field", "delete", "bare", "note"),
        "an alias": Change("field", "delete", "sponsors", "rides"),
        "rounding": altered("amount", "decimal", numeric_precision=12, numeric_scale=1),
        "half the digits": altered("ratio", "float", default_value=1),
        "longer": altered("name", "string", max_length=400),
        "no number": altered("name", "integer"),
        "no such cast": altered("born", "integer"),
        "no date": altered("at", "date"),
        "required": altered("uid", "uuid", is_nullable=False),
        "unique": altered("flag", "boolean", is_unique=True),
        "a new required one": Change("field", "create", "sponsors", "vat", None, required),
        "a new required one without rows": Change("field", "create", "bare", "vat", None, required),
    }
    told = {}
    for what, change in changes.items():
        told[what] = [loss.sentence for loss in await losses_of(connection, change)]
    values = "values would not stay the same"
    assert told == {
        "an empty table": [],
        "a folder": [],
        "a view": ["shown (a view, which Directus cannot drop)"],
        "values": ["field sponsors.blob (2 values)"],
        "nothing but nulls": [],
        "an alias": [],
        "rounding": [f"sponsors.amount from numeric(12,4) to numeric(12,1) (2572 {values})"],
        "half the digits": told["half the digits"],
        "longer": [],
        "no number": ["sponsors.name from character varying(40) to integer (PostgreSQL cannot convert what is there)"],
        "no such cast": ["sponsors.born from date to integer (PostgreSQL cannot convert what is there)"],
        "no date": ["sponsors.at from timestamp with time zone to date (1 value would not stay the same)"],
        "required": ["sponsors.uid becoming required (3000 rows without a value)"],
        "unique": [],
        "a new required one": ["sponsors.vat becoming required (3001 rows without a value)"],
        "a new required one without rows": [],
    }
    assert "double precision to real" in told["half the digits"][0]
    await connection.execute("UPDATE sponsors SET flag = true WHERE id < 4")
    (twice,) = await losses_of(connection, changes["unique"])
    assert twice.sentence == "sponsors.flag becoming unique (2 values too many)"
    held = await tables_in_question(connection, "public", tuple(changes.values()))
    assert held == ("bare", "sponsors")


async def test_what_directus_wrote_down_and_cannot_take_back_stays_in_its_file(
    connection: Connection, folder: Path
) -> None:
    path = await copy_out(connection, folder, DROP_TABLE)
    await connection.execute("DROP TABLE rides, sponsors;" + FORGET)
    await connection.execute(
        "DROP TABLE directus_revisions; ALTER TABLE directus_presets ADD CHECK (bookmark <> 'Mine')"
    )
    done = await restore(connection, read_backup(path))
    troubles = [line for line in done if line.startswith("directus_") and "not brought back" in line]
    assert [line.split(":")[0] for line in troubles] == ["directus_presets", "directus_revisions"]
    assert f"its 20 rows are in {path}/001.directus_revisions.copy.gz" in troubles[1]
    assert await connection.fetchval("SELECT count(*) FROM directus_activity WHERE collection = 'sponsors'") == 20


async def test_rows_that_a_new_foreign_key_would_not_allow_are_counted_before(connection: Connection) -> None:
    def relation(table: str, column: str, to: str, before: dict[str, object] | None = None) -> Change:
        schema = {"foreign_key_table": to, "foreign_key_column": column}
        after = {"schema": schema}
        action = "create" if before is None else "change"
        return Change("relation", action, table, "sponsor", before, after, alters_column=True)

    await connection.execute("""
        CREATE TABLE loose (id int PRIMARY KEY, sponsor int);
        CREATE TABLE words (name text PRIMARY KEY);
        INSERT INTO loose VALUES (1, 1), (2, NULL), (3, 17), (4, 99999); INSERT INTO words VALUES ('1'), ('99999');
    """)
    orphans = relation("loose", "id", "sponsors")
    (loss,) = await losses_of(connection, orphans)
    assert loss.sentence == "relation loose.sponsor referring to sponsors.id (2 values not among them)"
    assert loss.blocked
    assert await tables_in_question(connection, "public", (orphans,)) == ("loose", "sponsors")
    # The other table may be made, or its column be changed to fit, in the same apply.
    assert [loss.count for loss in await losses_of(connection, relation("loose", "id", "unborn"))] == [3]
    assert [loss.count for loss in await losses_of(connection, relation("loose", "name", "words"))] == [1]
    same = relation(
        "rides", "id", "sponsors", {"schema": {"foreign_key_table": "sponsors", "foreign_key_column": "id"}}
    )
    assert await losses_of(connection, same) == ()
    await connection.execute("DELETE FROM loose WHERE id > 2")
    assert await losses_of(connection, orphans) == ()


async def test_an_occasion_is_told_in_the_manifest_and_versions_are_kept(connection: Connection, folder: Path) -> None:
    losses = await losses_of(connection, DROP_TABLE)
    path = await back_up(connection, folder, losses, "public", replace(OCCASION, database="db.example/rally"))
    text = describe(read_backup(path))
    assert "db.example/rally" in text
    assert "Directus 11.17.4, PostgreSQL 1" in text
