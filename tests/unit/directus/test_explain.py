"""Known last words of Directus; the real ones are provoked in tests/system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.explain import explain


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('"DB_HOST" Environment Variable is missing.', "the variable DB_HOST is not set"),
        (
            'error: password authentication failed for user "app"',
            "Postgres refuses the password of user app",
        ),
        ("Port 8055 is already in use", "Port 8055 is already in use"),
        ("Database doesn't have Directus tables installed.", "the database has no Directus tables"),
        ('error: database "rally" does not exist', "there is no database rally"),
        ("Error: Cannot find package 'knex' imported from /directus/x.js", "the package knex is not installed"),
    ],
)
def test_known_last_words_are_explained(line: str, cause: str) -> None:
    explanation = explain(["something before", line, "    at some/place.js:1:1"])
    assert explanation is not None
    assert explanation.cause == cause
    assert explanation.remedy


def test_the_last_known_line_counts() -> None:
    explanation = explain(["Port 1 is already in use", 'error: database "x" does not exist'])
    assert explanation is not None
    assert explanation.cause == "there is no database x"


def test_unknown_words_are_not_explained() -> None:
    assert explain(["Segmentation fault"]) is None
    assert explain([]) is None


@given(st.lists(st.text()))
def test_garbage_is_never_an_error(lines: list[str]) -> None:
    explain(lines)
