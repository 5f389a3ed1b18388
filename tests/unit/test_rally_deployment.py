"""Holds the deployment that this repository ships (SQL files and snapshot) to its specification."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pglast
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PRE_SCHEMA = sorted((ROOT / "sql" / "pre-schema").glob("*.sql"))
POST_SCHEMA = sorted((ROOT / "sql" / "post-schema").glob("*.sql"))
SQL_FILES = PRE_SCHEMA + POST_SCHEMA

NEEDS_TIMESCALEDB = "-- supervisor: requires-extension timescaledb"

# An asterisk marks a required field, as in the specification.
STAMPS = "created_at updated_at"
FIELDS = {
    "organizations": f"id name* slug* {STAMPS}",
    "vehicles": f"id make* model year cc vin plate {STAMPS}",
    "devices": f"id imei* model* {STAMPS}",
    "organization_users": "id organization_id* user_id* role*",
    "organization_vehicles": "id organization_id* vehicle_id* registered_at",
    "organization_devices": "id organization_id* device_id* registered_at",
    "events": ("id organization_id* name* slug* discipline* starts_at* ends_at* regulation_doc_url notes " + STAMPS),
    "classes": f"id event_id* code* name* description sort {STAMPS}",
    "entries": (f"id event_id* vehicle_id class_id* race_number* status* start_at finish_at notes {STAMPS}"),
    "entry_crew": "id entry_id* user_id* role*",
    "entry_devices": "id entry_id* device_id* assigned_user_id notes",
}
USER_FIELDS = {"phone", "birth_date", "nationality"}

CHOICES = {
    ("organization_users", "role"): "org-admin race-director marshal timekeeper participant viewer",
    ("events", "discipline"): "rally time-trial regatta trail-run hike",
    ("entries", "status"): "registered confirmed started finished dnf dns dsq withdrawn",
    ("entry_crew", "role"): "pilot co-pilot navigator mechanic rider runner hiker",
}

RELATIONS = {
    ("organization_users", "organization_id", "organizations", "RESTRICT"),
    ("organization_users", "user_id", "directus_users", "RESTRICT"),
    ("organization_vehicles", "organization_id", "organizations", "RESTRICT"),
    ("organization_vehicles", "vehicle_id", "vehicles", "RESTRICT"),
    ("organization_devices", "organization_id", "organizations", "RESTRICT"),
    ("organization_devices", "device_id", "devices", "RESTRICT"),
    ("events", "organization_id", "organizations", "RESTRICT"),
    ("classes", "event_id", "events", "RESTRICT"),
    ("entries", "event_id", "events", "RESTRICT"),
    ("entries", "vehicle_id", "vehicles", "RESTRICT"),
    ("entries", "class_id", "classes", "RESTRICT"),
    ("entry_crew", "entry_id", "entries", "RESTRICT"),
    ("entry_crew", "user_id", "directus_users", "RESTRICT"),
    ("entry_devices", "entry_id", "entries", "RESTRICT"),
    ("entry_devices", "device_id", "devices", "RESTRICT"),
    ("entry_devices", "assigned_user_id", "directus_users", "SET NULL"),
}

UNIQUE_TOGETHER = {
    "001_junctions.sql": {
        ("organization_users", "organization_id, user_id"),
        ("organization_vehicles", "organization_id, vehicle_id"),
        ("organization_devices", "organization_id, device_id"),
    },
    "002_participation.sql": {
        ("events", "organization_id, slug"),
        ("classes", "event_id, code"),
        ("entries", "event_id, race_number"),
        ("entry_crew", "entry_id, user_id"),
        ("entry_devices", "entry_id, device_id"),
    },
}

POSITIONS = {
    "device_id": "text",
    "ts": "timestamptz",
    "ingested_at": "timestamptz",
    "latitude": "double precision",
    "longitude": "double precision",
    "altitude": "real",
    "angle": "real",
    "speed": "real",
    "satellites": "smallint",
    "priority": "smallint",
    "codec": "text",
    "attributes": "jsonb",
}


@pytest.fixture(scope="module")
def snapshot() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "snapshots" / "schema.yaml").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def fields(snapshot: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["collection"], each["field"]): each for each in snapshot["fields"]}


def read(folder: str, name: str) -> str:
    return (ROOT / "sql" / folder / name).read_text(encoding="utf-8")


def leading_comments(sql: str) -> str:
    lines = []
    for line in sql.splitlines():
        if line and not line.startswith("--"):
            break
        lines.append(line)
    return "\n".join(lines)


# The snapshot


def test_the_snapshot_is_of_the_version_that_is_shipped(snapshot: dict[str, Any]) -> None:
    assert (snapshot["version"], snapshot["directus"], snapshot["vendor"]) == (1, "11.17.4", "postgres")


def test_the_snapshot_holds_the_collections_and_no_table_of_a_sql_file(snapshot: dict[str, Any]) -> None:
    assert {each["collection"] for each in snapshot["collections"]} == set(FIELDS)
    for section in ("collections", "fields", "relations"):
        for each in snapshot[section]:
            assert each["collection"] in {*FIELDS, "directus_users"}
            assert each["meta"] is not None, f"{each['collection']} is not managed by Directus"


@pytest.mark.parametrize("collection", FIELDS)
def test_a_collection_has_its_fields_and_no_other(
    collection: str, fields: dict[tuple[str, str], dict[str, Any]]
) -> None:
    expected = {name.rstrip("*") for name in FIELDS[collection].split()}
    assert {name for owner, name in fields if owner == collection} == expected


@pytest.mark.parametrize("collection", FIELDS)
def test_a_required_field_is_asked_for_and_not_null(
    collection: str, fields: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for entry in FIELDS[collection].split():
        field = fields[collection, entry.rstrip("*")]
        is_required = entry.endswith("*")
        assert field["meta"]["required"] is is_required, entry
        assert field["schema"]["is_nullable"] is not (is_required or entry == "id"), entry


@pytest.mark.parametrize("collection", FIELDS)
def test_every_id_is_a_uuid_that_directus_makes(collection: str, fields: dict[tuple[str, str], dict[str, Any]]) -> None:
    primary_key = fields[collection, "id"]
    assert primary_key["type"] == "uuid"
    assert primary_key["schema"]["is_primary_key"] is True
    assert primary_key["meta"]["special"] == ["uuid"]


def test_times_carry_their_time_zone(fields: dict[tuple[str, str], dict[str, Any]]) -> None:
    times = [field for (_, name), field in fields.items() if name.endswith("_at")]
    assert times
    assert {field["schema"]["data_type"] for field in times} == {"timestamp with time zone"}


def test_created_and_updated_are_set_by_directus(fields: dict[tuple[str, str], dict[str, Any]]) -> None:
    specials = {"created_at": ["date-created"], "updated_at": ["date-updated"]}
    stamped = {key: field for key, field in fields.items() if key[1] in specials}
    assert len(stamped) == 2 * sum(STAMPS in names for names in FIELDS.values())
    for (_, name), field in stamped.items():
        assert field["meta"]["special"] == specials[name]


def test_what_directus_adds_to_its_own_users(fields: dict[tuple[str, str], dict[str, Any]]) -> None:
    added = {name: field for (owner, name), field in fields.items() if owner == "directus_users"}
    assert set(added) == USER_FIELDS
    assert added["birth_date"]["schema"]["data_type"] == "date"
    assert all(field["schema"]["is_nullable"] for field in added.values())


def test_unique_on_their_own_are_the_slug_of_an_organization_and_the_imei(
    fields: dict[tuple[str, str], dict[str, Any]],
) -> None:
    unique = {
        key for key, field in fields.items() if field["schema"]["is_unique"] and not field["schema"]["is_primary_key"]
    }
    assert unique == {("organizations", "slug"), ("devices", "imei")}


def test_enumerations_offer_exactly_their_choices(fields: dict[tuple[str, str], dict[str, Any]]) -> None:
    offered = {
        key: " ".join(choice["value"] for choice in field["meta"]["options"]["choices"])
        for key, field in fields.items()
        if field["meta"]["interface"] == "select-dropdown"
    }
    assert offered == CHOICES
    for key in CHOICES:
        meta = fields[key]["meta"]
        assert meta["display_options"]["choices"] == meta["options"]["choices"], "shown as they are chosen"


def test_a_withdrawn_entry_is_archived(snapshot: dict[str, Any]) -> None:
    entries = next(each["meta"] for each in snapshot["collections"] if each["collection"] == "entries")
    assert (entries["archive_field"], entries["archive_value"]) == ("status", "withdrawn")
    assert entries["unarchive_value"] == "registered"


def test_classes_are_sorted_by_hand(snapshot: dict[str, Any]) -> None:
    classes = next(each["meta"] for each in snapshot["collections"] if each["collection"] == "classes")
    assert classes["sort_field"] == "sort"


def test_the_relations_and_what_a_delete_does(snapshot: dict[str, Any]) -> None:
    relations = [
        (each["collection"], each["field"], each["related_collection"], each["schema"]["on_delete"])
        for each in snapshot["relations"]
    ]
    assert len(relations) == 16
    assert set(relations) == RELATIONS


# The SQL files


def test_numbers_are_unique_in_a_folder_and_names_over_both() -> None:
    for folder in (PRE_SCHEMA, POST_SCHEMA):
        numbers = [re.fullmatch(r"(\d{3})_[a-z0-9_]+\.sql", path.name) for path in folder]
        assert all(numbers)
        assert len({match[1] for match in numbers if match}) == len(folder)
    assert len({path.name for path in SQL_FILES}) == len(SQL_FILES)


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.name)
def test_a_sql_file_says_its_purpose_and_leaves_the_transaction_to_the_supervisor(path: Path) -> None:
    sql = path.read_bytes()
    assert sql.startswith(b"-- ")
    assert b"\r" not in sql
    kinds = {type(raw.stmt).__name__ for raw in pglast.parse_sql(sql.decode())}
    assert kinds
    assert "TransactionStmt" not in kinds


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.name)
def test_only_a_file_that_declares_timescaledb_uses_it(path: Path) -> None:
    sql = path.read_text(encoding="utf-8")
    statements = re.sub(r"--.*", "", sql)
    uses_it = re.search(r"timescaledb|hypertable|by_range|chunk", statements) is not None
    assert (NEEDS_TIMESCALEDB in leading_comments(sql).splitlines()) is uses_it


def test_positions_has_its_columns_all_not_null_and_no_primary_key() -> None:
    sql = read("pre-schema", "002_positions.sql")
    table = re.search(r"CREATE TABLE IF NOT EXISTS positions \((.*?)\n\);", sql, re.DOTALL)
    assert table is not None
    columns = {}
    for line in table[1].strip().splitlines():
        column = re.fullmatch(r"\s*(\w+)\s+(.+?)\s+NOT NULL(?: DEFAULT now\(\))?,?", line)
        assert column is not None, line
        columns[column[1]] = column[2]
    assert columns == POSITIONS
    assert re.search(r"ingested_at .* DEFAULT now\(\)", table[1])
    assert "CREATE UNIQUE INDEX IF NOT EXISTS positions_device_ts ON positions (device_id, ts DESC);" in sql
    assert "CREATE INDEX IF NOT EXISTS positions_ts ON positions (ts DESC);" in sql


def test_the_assertion_on_positions_names_every_column() -> None:
    assertion = read("pre-schema", "002_positions.sql").split("DO $$")[1]
    assert set(re.findall(r"\('(\w+)', '[\w ]+', (?:NULL|'now\(\)')\)", assertion)) == set(POSITIONS)


def test_positions_becomes_a_hypertable_of_one_day_even_when_it_holds_rows() -> None:
    sql = read("pre-schema", "003_positions_hypertable.sql")
    assert "by_range('ts', INTERVAL '1 day')" in sql
    for argument in ("if_not_exists => true", "migrate_data => true", "create_default_indexes => false"):
        assert argument in sql


def test_faulty_fixes_are_left_out_of_the_partial_index() -> None:
    sql = read("pre-schema", "004_positions_faulty.sql")
    assert "ADD COLUMN IF NOT EXISTS faulty boolean NOT NULL DEFAULT false" in sql
    assert "positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = false;" in sql


def test_sql_before_the_schema_touches_no_table_that_directus_creates() -> None:
    for path in PRE_SCHEMA:
        statements = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        assert not {table for table in FIELDS if re.search(rf"\b{table}\b", statements)}, path.name


def test_the_post_schema_files_are_the_specified_ones() -> None:
    assert {path.name for path in POST_SCHEMA} == set(UNIQUE_TOGETHER)


@pytest.mark.parametrize("name", UNIQUE_TOGETHER)
def test_composite_uniqueness_is_named_by_one_scheme_and_guarded(name: str) -> None:
    sql = read("post-schema", name)
    added = re.findall(r"ALTER TABLE (\w+)\s+ADD CONSTRAINT (\w+) UNIQUE \(([^)]+)\);", sql)
    assert {(table, columns) for table, _, columns in added} == UNIQUE_TOGETHER[name]
    for table, constraint, columns in added:
        assert constraint == f"{table}_{columns.replace(', ', '_')}_key"
        assert len(constraint) <= 63, "PostgreSQL cuts names there"
    guards = re.findall(r"conrelid = '(\w+)'::regclass\s+AND pg_get_constraintdef\(oid\) = 'UNIQUE \((.+)\)'", sql)
    assert guards == [(table, columns) for table, _, columns in added]


def test_composite_uniqueness_is_on_columns_that_the_snapshot_creates(
    fields: dict[tuple[str, str], dict[str, Any]],
) -> None:
    for constraints in UNIQUE_TOGETHER.values():
        for table, columns in constraints:
            assert all(fields[table, column]["meta"]["required"] for column in columns.split(", "))
