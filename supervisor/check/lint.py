"""The findings of squawk, a linter for the safety of migrations: locks, rewrites of tables, breaking changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from supervisor.check.finding import Finding, Severity
from supervisor.check.source import Source
from supervisor.errors import CHECK_TOOL_MISSING, SupervisorError
from supervisor.postgres.directives import Directives, read_directives

_LONGEST_S: Final = 120.0
_REMEDY: Final = "Install it with `pip install squawk-cli`, or leave out --lint."
# PostgreSQL's own grammar has told them.
_SYNTAX_ERROR: Final = "syntax-error"
# What a directive does already.
_DONE_BY_DIRECTIVE: Final = {
    "require-lock-timeout": "lock_timeout_ms",
    "require-statement-timeout": "statement_timeout_ms",
}


def find_squawk() -> str:
    """The squawk of this Python's environment, or the one on PATH.

    Raises:
        SupervisorError: ``check.tool_missing``.
    """
    found = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if found is None:
        raise SupervisorError(CHECK_TOOL_MISSING, "--lint needs squawk, which is not installed", remedy=_REMEDY)
    return found


def lint(squawk: str, files: Mapping[str, Path], sources: Mapping[str, Source]) -> list[Finding]:
    """Let squawk look at the files.

    Args:
        squawk: the program.
        files: by label, where each lies.
        sources: by label, what each says.

    Raises:
        SupervisorError: ``check.tool_missing`` when squawk does not run as expected.
    """
    directives = {label: read_directives(sources[label].text)[0] for label in files}
    findings: list[Finding] = []
    for in_transaction, option in ((True, ["--assume-in-transaction"]), (False, [])):
        labels = {str(path): label for label, path in files.items() if directives[label].transaction is in_transaction}
        for item in _run([squawk, "--reporter=json", *option], labels):
            label = labels.get(str(item.get("file")))
            rule = str(item.get("rule_name"))
            if label is not None and rule != _SYNTAX_ERROR and not _is_done(rule, directives[label]):
                findings.append(_finding(sources[label], item))
    return findings


def _run(command: list[str], paths: Iterable[str]) -> list[dict[str, Any]]:
    names = list(paths)
    if not names:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - a program that the user has asked for
            [*command, *names], capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
        items = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SupervisorError(CHECK_TOOL_MISSING, f"{command[0]} does not run: {error}", remedy=_REMEDY) from None
    except ValueError:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        message = f"{command[0]} answered with no JSON: {said}"
        raise SupervisorError(CHECK_TOOL_MISSING, message, remedy="Update squawk, or leave out --lint.") from None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _is_done(rule: str, directives: Directives) -> bool:
    setting = _DONE_BY_DIRECTIVE.get(rule)
    return setting is not None and getattr(directives, setting) is not None


def _finding(source: Source, item: Mapping[str, Any]) -> Finding:
    # squawk counts lines and bytes, both from 0.
    line, column = int(item.get("line", 0)), int(item.get("column", 0))
    text = "".join(source.text.split("\n")[line : line + 1])
    return Finding(
        file=source.label,
        line=line + 1,
        column=len(text.encode()[:column].decode(errors="ignore")) + 1,
        code=f"squawk/{item.get('rule_name')}",
        severity=Severity.ERROR if item.get("level") == "Error" else Severity.WARNING,
        message=str(item.get("message", "")).strip(),
        remedy=str(item.get("help") or "").strip(),
    )
