"""A whole deployment: its SQL files in their order, and its snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.check import finding
from supervisor.check.finding import Finding
from supervisor.check.grammar import parse_file
from supervisor.check.names import Relation
from supervisor.check.rerun import check_reruns
from supervisor.check.snapshot import Snapshot, read_snapshot
from supervisor.check.source import Source, read_source
from supervisor.check.statements import read_statements
from supervisor.check.transactions import check_transactions
from supervisor.check.world import Script, Setting, judge
from supervisor.postgres.directives import Directives, read_directives
from supervisor.postgres.file_name import is_undecoded, number_in


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was read.

    Attributes:
        name: its name in its folder.
        label: as it is shown.
        before_schema: whether it lies in ``pre-schema/``.
        data: its bytes.
        unread: why it could not be read; empty when it could.
    """

    name: str
    label: str
    before_schema: bool
    data: bytes
    unread: str = ""

    @property
    def number(self) -> int | None:
        """The number that gives its place in the order; None when the name has none."""
        return number_in(self.name)


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome.

    Attributes:
        findings: of all files, in the order of their places.
        sources: by label, for showing the line.
    """

    findings: tuple[Finding, ...]
    sources: dict[str, Source]


def check(
    files: Iterable[File],
    snapshot: tuple[str, bytes] | None,
    *,
    search_path: Sequence[str] = ("public",),
    assumed: Iterable[Relation] = (),
) -> Checked:
    """Find what is wrong with the files of a deployment.

    Args:
        files: the files of both folders.
        snapshot: label and content of the snapshot; None when there is none.
        search_path: where names are looked for; Directus has its tables in the first of them.
        assumed: relations that something else creates.
    """
    sources: dict[str, Source] = {}
    scripts: list[Script] = []
    by_number = sorted(files, key=lambda file: (not file.before_schema, file.number or 0, file.name))
    for file in by_number:
        source = sources[file.label] = read_source(file.label, file.data)
        if file.unread:
            source.report(finding.UNREADABLE, 0, f"it cannot be read: {file.unread}")
        scripts.append(_read(file, source))
    _check_names(by_number, sources)
    known = Snapshot()
    if snapshot is not None:
        label, data = snapshot
        sources[label] = read_source(label, data)
        # Line ends and a byte order mark do no harm in YAML.
        sources[label].findings = [each for each in sources[label].findings if each.severity == "error"]
        known = read_snapshot(sources[label])
    main_schema, *further = search_path
    # As they run: the repeatable ones of a folder come after its numbered ones.
    scripts.sort(key=lambda script: (not script.before_schema, script.repeatable))
    judge(scripts, Setting(known.collections, known.is_there, main_schema, frozenset(assumed), tuple(further)))
    findings = [each for source in sources.values() for each in source.findings]
    return Checked(tuple(sorted(findings, key=_place)), sources)


def _place(each: Finding) -> tuple[str, int, int, str, str]:
    return each.file, each.line, each.column, each.code, each.message


def _read(file: File, source: Source) -> Script:
    directives = _directives(source)
    read = read_statements(source, parse_file(source))
    check_transactions(source, read, directives)
    check_reruns(source, read, directives)
    return Script(source, read.effects, file.before_schema, directives.repeatable)


def _directives(source: Source) -> Directives:
    directives, problems = read_directives(source.text)
    for problem in problems:
        source.report_at(finding.DIRECTIVE, problem.line, problem.column, problem.message, remedy=problem.remedy)
    return directives


def _check_names(files: list[File], sources: dict[str, Source]) -> None:
    """Numbers are unique in a folder, names over both."""
    by_number: dict[tuple[bool, int], File] = {}
    by_name: dict[str, File] = {}
    for file in files:
        source = sources[file.label]
        if is_undecoded(file.name):
            source.report(
                finding.FILE_NAME, 0, "its name is not UTF-8, as the record of it must be", remedy="Rename it."
            )
        if file.number is None:
            source.report(finding.FILE_NAME, 0, f"{file.name} has no number")
            continue
        other = by_number.setdefault((file.before_schema, file.number), file)
        if other is not file:
            highest = max(each.number or 0 for each in files if each.before_schema == file.before_schema)
            source.report(
                finding.DUPLICATE_NUMBER,
                0,
                f"{other.name} has the number {file.number}, too",
                remedy=f"Give one of them the next free number, {highest + 1:03d}.",
            )
        other = by_name.setdefault(file.name, file)
        if other is not file:
            source.report(finding.DUPLICATE_NAME, 0, f"{other.label} has the same name; only one can be recorded")
