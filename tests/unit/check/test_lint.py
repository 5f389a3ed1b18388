"""What becomes of the findings of squawk; the program itself is played by a script that answers as it does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from supervisor.check.lint import find_squawk, lint
from supervisor.check.source import Source
from supervisor.errors import CHECK_TOOL_MISSING, SupervisorError


def script(folder: Path, text: str) -> str:
    path = folder / "squawk"
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def answering(folder: Path, *items: dict[str, object]) -> str:
    """A squawk that says the same of each file, and notes its arguments."""
    return script(
        folder,
        f"""
import json, sys
items = json.loads({json.dumps(json.dumps(items))})
open({str(folder / "arguments")!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
files = [name for name in sys.argv[1:] if not name.startswith("-")]
print(json.dumps([{{**item, "file": name}} for name in files for item in items]))
sys.exit(1)
""",
    )


ITEM = {"line": 1, "column": 13, "level": "Warning", "message": " slow ", "help": None, "rule_name": "some-rule"}


def test_a_finding_of_squawk_becomes_one_of_ours(tmp_path: Path) -> None:
    squawk = answering(tmp_path, ITEM)
    (found,) = lint(squawk, {"a.sql": Path("/a.sql")}, {"a.sql": Source("a.sql", "-- x\nSELECT 'ä'; x\n")})
    assert (found.file, found.line, found.code, found.severity) == ("a.sql", 2, "squawk/some-rule", "warning")
    assert (found.message, found.remedy) == ("slow", "")
    # squawk counts the two bytes of the umlaut.
    assert found.column == 13


def test_squawk_is_told_which_files_run_in_a_transaction(tmp_path: Path) -> None:
    squawk = answering(tmp_path)
    sources = {"a": Source("a", "SELECT 1;"), "b": Source("b", "-- supervisor: no-transaction\nSELECT 1;")}
    lint(squawk, {"a": Path("/a.sql"), "b": Path("/b.sql")}, sources)
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "--reporter=json --assume-in-transaction /a.sql",
        "--reporter=json /b.sql",
    ]


def test_what_a_directive_does_is_not_asked_for(tmp_path: Path) -> None:
    squawk = answering(tmp_path, {**ITEM, "rule_name": "require-lock-timeout"})
    assert lint(squawk, {"a": Path("/a.sql")}, {"a": Source("a", "-- supervisor: lock-timeout 2s\n")}) == []
    assert len(lint(squawk, {"a": Path("/a.sql")}, {"a": Source("a", "SELECT 1;")})) == 1


def test_syntax_errors_are_told_by_the_grammar_alone(tmp_path: Path) -> None:
    squawk = answering(tmp_path, {**ITEM, "rule_name": "syntax-error"})
    assert lint(squawk, {"a": Path("/a.sql")}, {"a": Source("a", "SELEC 1;")}) == []


def test_a_squawk_that_answers_otherwise_is_told(tmp_path: Path) -> None:
    squawk = script(tmp_path, "import sys; sys.exit('unknown option')")
    with pytest.raises(SupervisorError, match="unknown option") as caught:
        lint(squawk, {"a": Path("/a.sql")}, {"a": Source("a", "")})
    assert caught.value.failure is CHECK_TOOL_MISSING


def test_a_missing_squawk_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SupervisorError) as caught:
        find_squawk()
    assert "pip install squawk-cli" in caught.value.remedy
    squawk = answering(tmp_path)
    assert find_squawk() == squawk
