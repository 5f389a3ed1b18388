"""Incidents and the last good boot as files: whole, bounded, and nobody else's."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.incidents import store
from supervisor.incidents.good_boot import FILE, BootFacts, changes, keep_last, read_last

SHA = {"a": "a" * 64, "b": "b" * 64}


def document(number: int = 0, code: str = "process.exit") -> dict[str, Any]:
    at = f"2026-01-01T00:00:{number // 1000:02}.{number % 1000:03}Z"
    identity = store.id_of(at, code, "0123456789ab")
    return {"id": identity, "timestamp": at, "code": code, "message": f"m{number}", "last_lines": []}


def test_an_incident_is_a_file_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    path = store.keep(folder, document())
    assert path.name == "20260101T000000.000Z-process.exit-0123456789ab.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_text())["message"] == "m0"
    assert [each.name for each in folder.iterdir()] == [path.name], "nothing temporary is left"


def test_two_of_the_same_moment_do_not_meet(tmp_path: Path) -> None:
    assert store.keep(tmp_path, document()) != store.keep(tmp_path, document())
    assert [each.document["id"] == each.id for each in store.stored(tmp_path) if each.document] == [True, True]


def test_the_newest_are_kept_and_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / FILE).write_text("{}")
    for number in range(store.KEPT + 7):
        store.keep(tmp_path, document(number))
    found = store.stored(tmp_path)
    assert len(found) == store.KEPT
    assert [each.document["message"] for each in found[:2] if each.document] == ["m56", "m55"]
    assert (tmp_path / "notes.json").exists()
    assert (tmp_path / FILE).exists()


def test_what_a_killed_supervisor_left_is_taken_away_once_it_is_old(tmp_path: Path) -> None:
    left = tmp_path / ".20260101T000000.000Z-process.exit-0123456789ab.json.7.tmp"
    fresh = tmp_path / ".20260101T000000.000Z-process.exit-0123456789ab.json.8.tmp"
    for path in (left, fresh):
        path.write_text("half")
    hours_ago = time.time() - 7200
    os.utime(left, (hours_ago, hours_ago))
    store.keep(tmp_path, document())
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = store.keep(tmp_path, document())
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write_whole(path, b"half")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_that_cannot_be_read_is_shown_as_such(tmp_path: Path) -> None:
    path = store.keep(tmp_path, document())
    path.write_text("{half")
    assert store.stored(tmp_path)[0].document is None
    assert store.stored(tmp_path / "none") == []


NOW = BootFacts(at="t", supervisor="2", directus="11", snapshot=SHA["a"], node="n", sql=SHA, settings={"A": "1"})


def test_what_has_changed_is_named_with_before_and_after() -> None:
    before = BootFacts(
        at="t",
        supervisor="1",
        directus="11",
        snapshot=SHA["b"],
        node="n",
        sql={"a": SHA["b"], "old": "x"},
        settings={"A": "1", "B": "2"},
    )
    assert changes(before, NOW) == [
        {"what": "supervisor", "before": "1", "after": "2"},
        {"what": "snapshot", "before": "b" * 12, "after": "a" * 12},
        {"what": "sql_files", "before": 2, "after": 2, "added": ["b"], "edited": ["a"], "removed": ["old"]},
        {"what": "settings", "name": "B", "before": "2", "after": None},
    ]


def test_what_is_not_known_has_not_changed() -> None:
    assert changes(BootFacts(at="t"), NOW) == changes(NOW, BootFacts(at="t")) == changes(NOW, NOW) == []


def test_a_good_boot_is_read_as_it_was_kept(tmp_path: Path) -> None:
    keep_last(tmp_path / "made", NOW)
    assert read_last(tmp_path / "made") == NOW
    assert (tmp_path / "made" / FILE).stat().st_mode & 0o777 == 0o600


@given(
    st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.one_of(st.none(), st.text(max_size=5), st.integers()),
            lambda inner: st.dictionaries(st.sampled_from(["at", "sql", "settings", "node", "x"]), inner, max_size=4),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_stands_in_its_place_no_boot_fails_for_it(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / FILE).write_bytes(raw)
    facts = read_last(folder)
    if facts is not None:
        changes(facts, NOW)
