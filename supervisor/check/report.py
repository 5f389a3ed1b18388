"""Findings as text with the line and a caret, as JSON, or as annotations of a workflow. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final

from supervisor.check.finding import Finding, Severity
from supervisor.check.source import Source

_WIDEST: Final = 160


def as_text(findings: Iterable[Finding], sources: Mapping[str, Source], files: int) -> str:
    """For a terminal: place, code, message; the line with a caret; the remedy; at the end the sum."""
    blocks = []
    for each in findings:
        lines = [f"{each.file}:{each.line}:{each.column}: {each.code}: {each.message}"]
        lines += _excerpt(each, sources.get(each.file))
        kind = "warning; " if each.severity is Severity.WARNING else ""
        if each.remedy:
            lines.append(f"  {kind}remedy: {each.remedy}")
        elif kind:
            lines.append("  warning")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, summary(findings, files)])


def as_json(findings: Iterable[Finding], files: int) -> str:
    """One object: the findings in order, and the numbers of errors, warnings and files."""
    items = list(findings)
    document = {
        "findings": [asdict(each) for each in items],
        "errors": _count(items, Severity.ERROR),
        "warnings": _count(items, Severity.WARNING),
        "files": files,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_github(findings: Iterable[Finding], files: int) -> str:
    """Workflow commands, which GitHub and Gitea show beside the lines; their escapes are GitHub's."""
    lines = [
        f"::{each.severity.value} file={_property(each.file)},line={each.line},col={each.column},"
        f"title={_property(each.code)}::{_data(' '.join([each.message + '.', each.remedy]).strip())}"
        for each in findings
    ]
    return "\n".join([*lines, summary(findings, files)])


def summary(findings: Iterable[Finding], files: int) -> str:
    """One line: how many of what in how many files."""
    items = list(findings)
    errors, warnings = _count(items, Severity.ERROR), _count(items, Severity.WARNING)
    where = f"in {files} SQL file{'' if files == 1 else 's'}"
    if not items:
        return f"no findings {where}"
    return f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'} {where}"


def _count(findings: Iterable[Finding], severity: Severity) -> int:
    return sum(each.severity is severity for each in findings)


def _excerpt(each: Finding, source: Source | None) -> list[str]:
    lines = source.text.split("\n", each.line) if source is not None else []
    if len(lines) < each.line or not lines[each.line - 1].strip():
        return []
    line = lines[each.line - 1]
    # A dump may have lines of megabytes.
    start = max(0, each.column - _WIDEST // 2) if len(line) > _WIDEST else 0
    shown = line[start : start + _WIDEST].expandtabs(1)
    printable = "".join(character if character.isprintable() else "?" for character in shown)
    return [f"  {printable}", "  " + " " * (each.column - 1 - start) + "^"]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
