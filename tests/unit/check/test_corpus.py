"""Every case of the corpus: exactly the findings that it promises."""

from __future__ import annotations

import pytest

from tests.unit.check.corpus import CASES, Case
from tests.unit.check.judging import judged, short


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_finds_this_and_nothing_else(case: Case) -> None:
    others = {f"{number:03d}_{name}.sql": text for number, (name, text) in enumerate(case.others.items(), start=2)}
    folder = {"001_case.sql": case.sql, **others}
    findings = judged(post=folder) if case.post else judged(pre=folder)
    mine = [short(each) for each in findings if each.file.endswith("001_case.sql")]
    assert sorted(mine) == sorted(case.expected)


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
