"""Looking into the snapshot file, as far as messages need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import errors
from supervisor.directus.snapshot import creator_of, is_blank
from supervisor.errors import SupervisorError

SNAPSHOT = "version: 1\ncollections:\n  - collection: entries\n  - other: 1\n  - text\nfields: []\n"


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \n\t\n", True), ("version: 1", False), ("\n\n#", False)])
def test_white_space_is_blank(tmp_path: Path, text: str, blank: bool) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    assert is_blank(path) is blank


@pytest.mark.parametrize("data", [None, b"\xff\xfe"])
def test_a_snapshot_that_is_no_text_is_told(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "schema.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SupervisorError) as caught:
        is_blank(path)
    assert caught.value.failure is errors.SNAPSHOT_INVALID
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("relation", "creator"),
    [("directus_users", "Directus' bootstrap"), ("entries", "the snapshot"), ("nobody", None)],
)
def test_who_creates_a_relation_is_known(tmp_path: Path, relation: str, creator: str | None) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(SNAPSHOT, encoding="utf-8")
    assert creator_of(relation, path) == creator


@pytest.mark.parametrize("text", ["", "[]", "a: b: c", "collections: 1", "collections: [{collection: }]"])
def test_a_broken_snapshot_creates_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    assert creator_of("entries", path) is None


def test_an_absent_snapshot_creates_nothing(tmp_path: Path) -> None:
    assert creator_of("entries", tmp_path / "absent") is None
