"""Documents and code are held together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from supervisor.errors import CATALOGUE as FAILURES
from supervisor.errors import runbook_link
from supervisor.incidents.causes import CATALOGUE as INCIDENTS
from supervisor.incidents.causes import incidence_of
from supervisor.process.ending import Cause

PROJECT = Path(__file__).parents[2]


RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
SECTIONS = {section.partition("\n")[0]: section for section in RUNBOOK.split("\n## ")[1:]}


def test_the_runbook_has_one_section_for_each_failure_and_each_incident() -> None:
    assert sorted(re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)) == sorted([*FAILURES, *INCIDENTS])


def test_no_code_is_in_both_catalogues() -> None:
    assert not FAILURES.keys() & INCIDENTS.keys()


def test_every_cause_of_a_restart_but_a_reload_has_an_entry() -> None:
    for cause in set(get_args(Cause)) - {"reload"}:
        code, remedy = incidence_of(cause)
        assert code in FAILURES.keys() | INCIDENTS.keys()
        assert remedy


@pytest.mark.parametrize("code", SECTIONS)
def test_each_section_of_the_runbook_says_how_to_confirm_and_mend(code: str) -> None:
    for part in ("**Means**", "**Confirm**", "**Mend**", "**Provoked**"):
        assert SECTIONS[code].count(part) == 1


@pytest.mark.parametrize("code", SECTIONS)
def test_each_section_of_the_runbook_names_a_test_that_exists(code: str) -> None:
    named = re.findall(r"`(tests/[^`:]+)(?:::(\w+))?`", SECTIONS[code].partition("**Provoked**")[2])
    assert named
    for file, function in named:
        text = (PROJECT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {function or 'test_'}", text, re.MULTILINE), f"{file}::{function}"


@pytest.mark.parametrize("code", SECTIONS)
def test_the_link_to_a_section_of_the_runbook_leads_to_its_heading(code: str) -> None:
    page, _, anchor = runbook_link(code).partition("#")
    assert (PROJECT / page).is_file()
    # How GitHub and its like make an anchor of a heading: lower case, without punctuation but - and _.
    assert anchor == re.sub(r"[^\w-]", "", code.lower())


def test_the_generated_documents_are_current() -> None:
    check = [sys.executable, str(PROJECT / "scripts" / "generate_docs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stdout


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
