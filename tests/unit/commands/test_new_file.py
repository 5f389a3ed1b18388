"""Names and numbers of new SQL files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.commands.new_file import next_name, run_new, slug
from supervisor.errors import SupervisorError
from supervisor.postgres.sqlfile import load_tree


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Index positions, by Codec!", "index_positions_by_codec"),
        ("Plätze für Spieler", "platze_fur_spieler"),
        ("../../etc/passwd", "etc_passwd"),
        ("add_column.sql", "add_column"),
        ("--help", "help"),
    ],
)
def test_a_name_in_words_becomes_part_of_a_file_name(name: str, words: str) -> None:
    assert slug(name) == words


@given(st.text(max_size=300))
def test_a_name_is_safe_or_refused(name: str) -> None:
    try:
        words = slug(name)
    except SupervisorError as error:
        assert error.failure.code == "usage"  # noqa: PT017 - either outcome is right
    else:
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", words)


@pytest.mark.parametrize(
    ("names", "taken", "name"),
    [
        ([], [], "001_x.sql"),
        (["002_a.sql", "010_b.SQL"], [], "011_x.sql"),
        (["999_a.sql"], [], "1000_x.sql"),
        (["0007_a.sql"], [], "0008_x.sql"),
        (["9_a.sql"], [], "10_x.sql"),
        (["README.md", "12_notes.txt", "a.sql"], [], "001_x.sql"),
        (["001_a.sql"], ["002_X.sql", "003_x.sql"], "004_x.sql"),
    ],
)
def test_the_next_number_is_above_all_and_as_wide(names: list[str], taken: list[str], name: str) -> None:
    assert next_name(names, taken, "x") == name


def test_a_title_of_several_lines_stays_within_its_comment(tmp_path: Path) -> None:
    name = "one\n-- supervisor: no-transaction\nDROP TABLE t;"
    assert run_new({"SUPERVISOR_SQL_DIR": str(tmp_path)}, tmp_path, name, post=False, repeatable=False) == 0
    (file,) = load_tree(tmp_path).all
    assert file.statements == ()
    assert file.directives.transaction


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pre-schema"
    folder.mkdir()
    there = folder / "001_same.sql"
    there.write_text("SELECT 1;")
    # Another process makes the same file between the look and the making.
    monkeypatch.setattr("supervisor.commands.new_file._names", lambda _folder: [])
    assert run_new({"SUPERVISOR_SQL_DIR": str(tmp_path)}, tmp_path, "same", post=False, repeatable=False) == 3
    assert there.read_text() == "SELECT 1;"
