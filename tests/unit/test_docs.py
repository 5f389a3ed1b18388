"""Documents and code are held together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from supervisor.errors import CATALOGUE

PROJECT = Path(__file__).parents[2]


def test_the_runbook_has_one_section_for_each_failure() -> None:
    text = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## (.+)$", text, re.MULTILINE)) == sorted(CATALOGUE)


def test_each_section_of_the_runbook_says_how_to_confirm_and_mend() -> None:
    text = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        for part in ("**Means**", "**Confirm**", "**Mend**", "**Provoked**"):
            assert part in section, section.splitlines()[0]


def test_the_tests_that_the_runbook_names_exist() -> None:
    text = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(tests/[^`]+)`", text):
        assert (PROJECT / name).exists(), name


def test_the_generated_documents_are_current() -> None:
    check = [sys.executable, str(PROJECT / "scripts" / "generate_docs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stdout


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
