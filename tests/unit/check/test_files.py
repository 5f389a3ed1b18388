"""What `check` says of files as files: their bytes, their names, and the snapshot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervisor.check.finding import RULES
from supervisor.check.names import Relation
from supervisor.check.project import File, check
from tests.unit.check.corpus import CASES
from tests.unit.check.judging import judged, short

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfSELECT 1 FROM events;", ["1:1 byte-order-mark", "1:15 needs-snapshot events"]),
        (b"SELECT 1;\r\nSELECT 1\r\nFROM events;", ["1:1 crlf", "3:6 needs-snapshot events"]),
        ("SELECT 1;\nSELECT 'ä".encode() + b"\xff';", ["2:10 encoding"]),
        ("SELECT 1;".encode("utf-16"), ["1:1 encoding"]),
        ("SELECT 1;".encode("utf-16-le"), ["1:2 nul"]),
        (b"SELECT 1;\n\0", ["2:1 nul"]),
    ],
    ids=["byte order mark", "CRLF", "not UTF-8", "UTF-16", "UTF-16 without its mark", "NUL"],
)
def test_the_bytes_of_a_file_are_judged(data: bytes, expected: list[str]) -> None:
    assert [short(each) for each in judged(pre={"001_a.sql": data})] == expected


def test_the_files_of_this_repository_have_no_findings() -> None:
    files = [
        File(path.name, str(path), path.parent.name == "pre-schema", path.read_bytes())
        for path in sorted(PROJECT.glob("sql/*/*.sql"))
    ]
    snapshot = PROJECT / "snapshots" / "schema.yaml"
    assert len(files) >= 6
    assert check(files, (snapshot.name, snapshot.read_bytes())).findings == ()


def test_all_findings_of_all_files_come_at_once_in_order() -> None:
    findings = judged(
        pre={"002_b.sql": "SELECT FROM events, nowhere;", "001_a.sql": "SELEC 1;"},
        post={"001_c.sql": "SELECT FROM nowhere;"},
    )
    assert [(each.file, each.code) for each in findings] == [
        ("post-schema/001_c.sql", "unknown-relation"),
        ("pre-schema/001_a.sql", "syntax"),
        ("pre-schema/002_b.sql", "needs-snapshot"),
        ("pre-schema/002_b.sql", "unknown-relation"),
    ]


def test_a_number_used_twice_is_told_with_the_next_free_one() -> None:
    (found,) = judged(pre={"1_a.sql": "", "001_b.sql": "", "007_c.sql": ""})
    assert found.code == "duplicate-number"
    assert "008" in found.remedy


def test_one_number_in_both_folders_is_fine() -> None:
    assert judged(pre={"001_a.sql": ""}, post={"001_b.sql": ""}) == []


def test_a_name_used_twice_is_told() -> None:
    assert [each.code for each in judged(pre={"001_a.sql": ""}, post={"001_a.sql": ""})] == ["duplicate-name"]


@pytest.mark.parametrize("name", ["a.sql", "001.sql", "a001_b.sql", "9" * 5000 + "_a.sql"])
def test_a_name_without_a_number_is_told(name: str) -> None:
    assert [each.code for each in judged(pre={name: ""})] == ["file-name"]


def test_files_run_in_numeric_order() -> None:
    assert judged(pre={"10_b.sql": "SELECT FROM t;", "9_a.sql": "CREATE TABLE IF NOT EXISTS t ();"}) == []


REPEATABLE_VIEW = "-- supervisor: repeatable\nCREATE OR REPLACE VIEW fleet AS SELECT 1 AS id FROM cars;"


def test_repeatable_files_run_after_the_numbered_ones_of_their_folder() -> None:
    cars = "CREATE TABLE IF NOT EXISTS cars ();"
    assert judged(pre={"001_view.sql": REPEATABLE_VIEW, "002_cars.sql": cars}) == []
    assert judged(pre={"001_view.sql": REPEATABLE_VIEW, "002_cars.sql": cars}, post={"001_a.sql": "TABLE fleet;"}) == []


def test_a_numbered_file_that_needs_a_repeatable_one_is_told_whatever_their_numbers() -> None:
    cars = "CREATE TABLE IF NOT EXISTS cars ();\nSELECT FROM fleet;"
    (found,) = judged(pre={"001_view.sql": REPEATABLE_VIEW, "002_cars.sql": cars})
    assert (found.file, short(found)) == ("pre-schema/002_cars.sql", "2:13 needs-later-file fleet")
    assert found.remedy.startswith("Repeatable files run after the numbered ones")


def test_what_a_later_folder_creates_is_told_with_where_to_move_to() -> None:
    (found,) = judged(pre={"001_a.sql": "SELECT FROM t;"}, post={"002_b.sql": "CREATE TABLE IF NOT EXISTS t ();"})
    assert found.code == "needs-later-file"
    assert "post-schema/002_b.sql" in found.message
    assert "sql/post-schema/" in found.remedy


def test_a_temporary_table_ends_with_its_file() -> None:
    (found,) = judged(pre={"001_a.sql": "CREATE TEMP TABLE t ();", "002_b.sql": "SELECT FROM t;"})
    assert (found.file, found.code) == ("pre-schema/002_b.sql", "unknown-relation")


def test_a_search_path_ends_with_its_file() -> None:
    sql = "CREATE SCHEMA IF NOT EXISTS app;\nSET search_path TO app;\nCREATE TABLE IF NOT EXISTS t ();"
    (found,) = judged(pre={"001_a.sql": sql, "002_b.sql": "SELECT FROM t;"})
    assert found.file == "pre-schema/002_b.sql"


def test_without_a_snapshot_an_unknown_relation_is_a_warning() -> None:
    (found,) = judged(post={"001_a.sql": "SELECT FROM members;"}, snapshot=None)
    assert short(found) == "1:13 unknown-relation? members"


def test_a_relation_that_is_assumed_is_known() -> None:
    assert judged(pre={"001_a.sql": "SELECT FROM members;"}, assumed=[Relation(None, "members")]) == []


def test_a_folder_of_collections_is_no_table() -> None:
    assert [short(each) for each in judged(post={"001_a.sql": "SELECT FROM folder;"})] == [
        "1:13 unknown-relation folder"
    ]


def test_the_tables_lie_where_directus_has_them() -> None:
    sql = {"001_a.sql": "SELECT FROM app.events, events;"}
    assert judged(post=sql, search_path=["app"]) == []
    assert [each.code for each in judged(pre=sql, search_path=["app"])] == ["needs-snapshot"] * 2


def test_names_are_looked_for_in_all_of_the_search_path() -> None:
    sql = {"001_a.sql": "CREATE TABLE IF NOT EXISTS public.log ();\nSELECT FROM log, migrations_applied;"}
    assert judged(pre=sql, search_path=["app", "public"]) == []
    assert [each.relation for each in judged(pre=sql, search_path=["app"])] == ["log"]


def test_the_guard_table_in_the_snapshot_is_told_where_it_stands() -> None:
    snapshot = b"collections:\n  - collection: migrations_applied\n    schema: {name: migrations_applied}\n"
    assert [short(each) for each in judged(snapshot=snapshot)] == ["2:17 ghost-collection migrations_applied"]


@pytest.mark.parametrize(
    ("text", "place"), [(b"a: [\n", "2:1"), (b"- just a list\n", "1:1"), (b"collections: none\n", "1:1")]
)
def test_a_snapshot_that_cannot_be_used_is_told(text: bytes, place: str) -> None:
    assert [short(each) for each in judged(snapshot=text)] == [f"{place} snapshot"]


def test_every_rule_has_a_case_that_breaks_it() -> None:
    elsewhere = {
        "file-name",
        "duplicate-number",
        "duplicate-name",
        "unreadable",
        "encoding",
        "nul",
        "byte-order-mark",
        "crlf",
        "snapshot",
    }
    broken = {expected.split()[1].rstrip("!?") for case in CASES for expected in case.expected}
    assert broken | elsewhere == set(RULES)


def test_the_document_has_one_section_for_each_rule_with_its_severity() -> None:
    text = (PROJECT / "docs" / "check.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\S+)\n\n(\w+)", text, re.MULTILINE))
    assert sections == {rule.code: rule.severity.value.capitalize() for rule in RULES.values()}


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_example_of_a_section_breaks_its_rule(code: str) -> None:
    text = (PROJECT / "docs" / "check.md").read_text(encoding="utf-8")
    section = text.partition(f"### {code}\n")[2].partition("\n##")[0]
    example = section.partition("```sql\n")[2].partition("```")[0]
    if example:
        snapshot = b"collections: [{collection: organization_users}, {collection: events}]"
        later = "CREATE TABLE IF NOT EXISTS kinds (name text);"
        assert code in {each.code for each in judged(pre={"001_a.sql": example, "002_b.sql": later}, snapshot=snapshot)}
