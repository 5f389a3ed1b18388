"""Runs `check` over files that a test has in memory."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.check.finding import RULES, Finding
from supervisor.check.project import File, check

SNAPSHOT = b"""\
version: 1
collections:
  - collection: events
    schema: {name: events}
  - collection: users_roles
    schema: {name: users_roles}
  - collection: Odd Name
    schema: {name: Odd Name}
  - collection: folder
    schema: null
"""


def judged(
    pre: Mapping[str, str | bytes] | None = None,
    post: Mapping[str, str | bytes] | None = None,
    snapshot: bytes | None = SNAPSHOT,
    **more: object,
) -> list[Finding]:
    """The findings for files by name, of both folders."""
    files = [
        File(name, f"{folder}/{name}", folder == "pre-schema", text.encode() if isinstance(text, str) else text)
        for folder, texts in (("pre-schema", pre or {}), ("post-schema", post or {}))
        for name, text in texts.items()
    ]
    content = None if snapshot is None else ("schema.yaml", snapshot)
    return list(check(files, content, **more).findings)  # type: ignore[arg-type]


def short(finding: Finding) -> str:
    """``line:column code relation``; ``!`` and ``?`` mark an error or a warning that its rule is not."""
    mark = "" if finding.severity is RULES[finding.code].severity else "!" if finding.severity == "error" else "?"
    return f"{finding.line}:{finding.column} {finding.code}{mark} {finding.relation or ''}".rstrip()
