"""What is wrong with a snapshot is told with its place, before Directus is started on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor import errors
from supervisor.directus.snapshot_check import LARGEST_BYTES, check_snapshot
from supervisor.errors import SupervisorError
from tests.unit.captured import Captured

PATH = Path("schema.yaml")
GOOD = """\
version: 1
directus: 11.17.4
vendor: postgres
collections:
  - collection: cars
    meta: {collection: cars}
    schema: {name: cars}
fields:
  - collection: cars
    field: on
    type: string
  - collection: cars
    field: no
    type: string
relations: []
"""


def judge(text: str, path: Path = PATH) -> None:
    check_snapshot(text.encode(), path, "11.17.4")


def test_a_good_snapshot_passes_in_silence(captured: Captured) -> None:
    judge(GOOD)
    judge("\ufeff" + GOOD)
    judge((Path(__file__).parents[3] / "snapshots" / "schema.yaml").read_text(encoding="utf-8"))
    assert not captured.records


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: [1", "schema.yaml:2:9: not valid YAML: did not find expected ',' or ']'"),
        ("version: 1", "version: 2", "schema.yaml:1:10: the format is version '2', and only version 1 is known"),
        ("version: 1", "version: 1\nversion: 1", "schema.yaml:2:1: the key 'version' stands here twice"),
        ("vendor: postgres", "vendor: mysql", "schema.yaml:3:9: it was exported from a database of vendor 'mysql'"),
        ("relations: []", "relations: {}", "schema.yaml:15:12: 'relations' is not a list"),
        ("relations: []", "", "schema.yaml:1:1: 'relations' is missing"),
        ("relations: []", "relation: []", "'relations' is missing; is 'relation' meant?"),
        ("field: no", "field: on", "schema.yaml:12:5: cars.on stands in 'fields' twice, first in line 9"),
        ("    field: no\n", "", "schema.yaml:12:5: an item of 'fields' has no 'field'"),
        ("relations: []", "relations: [text]", "schema.yaml:15:13: an item of 'relations' is not a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(old: str, new: str, message: str) -> None:
    with pytest.raises(SupervisorError) as caught:
        judge(GOOD.replace(old, new))
    assert caught.value.failure is errors.SNAPSHOT_INVALID
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "schema.yaml is not UTF-8"),
        (b"# a comment", "schema.yaml holds nothing but comments"),
        (b"- a list", "schema.yaml:1:1: the snapshot is not a mapping"),
        (b"[" * 100_000, "schema.yaml:1:201: not valid YAML: it is nested too deeply here"),
    ],
)
def test_what_is_no_snapshot_at_all_is_told(data: bytes, message: str) -> None:
    with pytest.raises(SupervisorError) as caught:
        check_snapshot(data, PATH, "11.17.4")
    assert message in caught.value.message


def test_a_json_snapshot_is_told_with_its_place() -> None:
    with pytest.raises(SupervisorError) as caught:
        judge('{\n"version": }', Path("schema.json"))
    assert "schema.json:2:12: Expecting value" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"fields"', '"feilds"', "schema.json:1:1: 'fields' is missing; is 'feilds' meant?"),
        ('"collection": "cars"', '"collection": null', "schema.json:6:3: an item of 'collections' has no 'collection'"),
        ('"field": "id"', '"field": 7', "schema.json:15:3: an item of 'fields' has no 'field'"),
        ('"postgres"', '"mysql"', "schema.json:4:12: it was exported from a database of vendor 'mysql'"),
        ('"relations": []', '"relations": {}', "schema.json:23:15: 'relations' is not a list"),
    ],
)
def test_the_shape_of_a_json_snapshot_is_judged_as_that_of_yaml(old: str, new: str, message: str) -> None:
    document = {
        "version": 1,
        "directus": "11.17.4",
        "vendor": "postgres",
        "collections": [{"collection": "cars", "meta": None, "schema": {"name": "cars"}}],
        "fields": [{"collection": "cars", "field": "id", "type": "integer", "meta": None, "schema": None}],
        "relations": [],
    }
    text = json.dumps(document, indent="\t")
    judge(text, Path("schema.json"))
    with pytest.raises(SupervisorError) as caught:
        judge(text.replace(old, new, 1), Path("schema.json"))
    assert message in caught.value.message
    # What only JSON can say is left to Directus.
    judge(text.replace(old, new, 1).replace('"cars"', r'"\ud83d\ude97"'), Path("schema.json"))


def test_another_directus_version_is_a_warning_with_both(captured: Captured) -> None:
    judge(GOOD.replace("11.17.4", "11.9.0"))
    (record,) = captured.of("schema.snapshot_doubtful")
    assert "exported by Directus 11.9.0, and 11.17.4 is installed" in record["message"]


def test_unknown_keys_are_a_warning_with_their_lines(captured: Captured) -> None:
    judge(GOOD.replace("    type: string", "    tpye: string", 1) + "extra: 1\n")
    (record,) = captured.of("schema.snapshot_doubtful")
    assert "extra (line 16), tpye (line 11)" in record["message"]


def test_a_very_large_snapshot_is_left_to_directus() -> None:
    check_snapshot(b"[" + b" " * LARGEST_BYTES, PATH, "11.17.4")
