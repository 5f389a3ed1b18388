"""Looking into the snapshot file, as far as messages need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import errors
from supervisor.directus.snapshot import creator_of, read_snapshot
from supervisor.errors import SupervisorError

SNAPSHOT = "version: 1\ncollections:\n  - collection: entries\n  - other: 1\n  - text\nfields: []\n"


def test_an_absent_snapshot_is_none_and_one_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "absent") is None
    with pytest.raises(SupervisorError) as caught:
        read_snapshot(tmp_path)
    assert caught.value.failure is errors.SNAPSHOT_INVALID
    assert str(tmp_path) in caught.value.message


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
