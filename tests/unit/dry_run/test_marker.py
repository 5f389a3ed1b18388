"""A database is dropped for its mark alone, and only when nothing speaks for its run being alive."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.dry_run.marker import MADE_BY, Mark, is_leftover, read_mark

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MARK = Mark("0f" * 16, "build-1", 42, 4711, (NOW - timedelta(hours=1)).isoformat())


def test_a_mark_reads_as_it_was_written() -> None:
    assert read_mark(MARK.comment) == MARK


@given(st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.integers()).map(json.dumps)))
def test_no_other_comment_is_taken_for_a_mark(comment: str | None) -> None:
    assert read_mark(comment) is None


@given(
    st.sampled_from(["token", "host", "pid", "started", "made_at", "kept"]),
    st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers())),
)
def test_a_mark_with_something_else_in_it_is_none_or_still_well_formed(name: str, value: object) -> None:
    document = json.loads(MARK.comment)
    document[name] = value
    mark = read_mark(json.dumps(document))
    if mark is not None:
        assert read_mark(mark.comment) == mark
        assert isinstance(mark.lock_key, int)


def test_a_mark_of_another_maker_is_none() -> None:
    assert read_mark(MARK.comment.replace(MADE_BY, "somebody")) is None


@pytest.mark.parametrize(
    ("mark", "locked", "alive", "leftover"),
    [
        (MARK, False, False, True),
        (MARK, True, False, False),
        (MARK, False, True, False),
        (replace(MARK, kept=True), False, False, False),
        (replace(MARK, made_at=(NOW - timedelta(seconds=30)).isoformat()), False, False, False),
    ],
)
def test_whatever_speaks_for_a_living_run_spares_its_database(
    mark: Mark, locked: bool, alive: bool, leftover: bool
) -> None:
    assert is_leftover(mark, locked=locked, alive=alive, now=NOW) is leftover


@given(st.binary(min_size=8, max_size=16))
def test_a_lock_key_is_a_signed_64_bit_number(token: bytes) -> None:
    assert -(2**63) <= replace(MARK, token=token.hex()).lock_key < 2**63
