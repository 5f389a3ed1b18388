"""What came of a dry run, read from the log lines of its two runs: for a person, and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from supervisor.commands.table import table
from supervisor.errors import DRY_RUN_NOT_SETTLED, SupervisorError

Line = Mapping[str, Any]
# Details that tell what a phase has changed, by event.
_DETAILS: Final = {"sql.applied": ("file",), "schema.plan": ("created", "changed", "deleted")}


@dataclass(frozen=True, slots=True)
class PhaseAccount:
    """One phase of one run: "changed", "unchanged" or "skipped"; and its seconds."""

    name: str
    outcome: str
    summary: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class RunAccount:
    """One run of all phases.

    Attributes:
        status: that of the process.
        phases: those that were completed.
        pending: SQL files that were not tried, with the extension that each waits for.
        changes: what was changed, by phase.
        failure: ``code``, ``message`` and ``remedy`` of what ended it; None when nothing did.
        warnings: what was said at that level, each with its event's name.
    """

    status: int
    phases: tuple[PhaseAccount, ...]
    pending: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failure: Mapping[str, str] | None = None
    warnings: tuple[str, ...] = ()


def read_run(lines: Iterable[Line], status: int) -> RunAccount:
    """Read the log of one run.

    Args:
        lines: its structured lines.
        status: that its process ended with.
    """
    phases: list[PhaseAccount] = []
    pending: dict[str, str] = {}
    changes: dict[str, list[str]] = {}
    warnings: list[str] = []
    failure = None
    for line in lines:
        event = line.get("event")
        if event == "phase.finished":
            phases.append(PhaseAccount(line["phase"], line["outcome"], line["summary"], line["duration_s"]))
        elif event == "sql.pending":
            pending[line["file"]] = line["extension"]
        elif event == "supervisor.failed":
            failure = {name: str(line.get(name)) for name in ("code", "message", "remedy")}
        elif event in _DETAILS:
            told = (line.get(name) for name in _DETAILS[event])
            names = [one for value in told if value for one in ([value] if isinstance(value, str) else value)]
            changes.setdefault(str(line.get("phase")), []).extend(names)
        elif line.get("level") == "warning" and event != "process.output":
            warnings.append(f"{event}: {line.get('message') or line.get('objects') or line.get('remedy') or ''}")
    found = {phase: tuple(names) for phase, names in changes.items()}
    return RunAccount(status, tuple(phases), pending, found, failure, tuple(dict.fromkeys(warnings)))


def require_rest(second: RunAccount) -> None:
    """Refuse a second run that changed something.

    Raises:
        SupervisorError: ``dry_run.not_settled``, naming each phase and what it changed.
    """
    parts = []
    for phase in second.phases:
        if phase.outcome == "changed":
            names = second.changes.get(phase.name, ())
            shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            parts.append(f"{phase.name} ({shown or phase.summary})")
    if parts:
        raise SupervisorError(DRY_RUN_NOT_SETTLED, f"the second run changed something again: {'; '.join(parts)}")


@dataclass(slots=True)
class Account:
    """A whole dry run.

    Attributes:
        database: where it went.
        server: the server's version.
        runs: the first and the second run, as far as it came.
        problem: what ended it; None when all was well.
        status: what the command ends with.
        kept: how to reach the database that was kept; None when it is gone.
    """

    database: str = ""
    server: str = ""
    runs: list[RunAccount] = field(default_factory=list)
    problem: Mapping[str, str] | None = None
    status: int = 0
    kept: str | None = None

    @property
    def pending(self) -> Mapping[str, str]:
        """Files that no run has tried."""
        return self.runs[-1].pending if self.runs else {}


def as_text(account: Account) -> str:
    """A table of the phases with both runs side by side, what was not tried, and the verdict."""
    lines = []
    if account.runs:
        names = list(dict.fromkeys(phase.name for run in account.runs for phase in run.phases))
        rows = [_row(name, account.runs) for name in names]
        lines.append(table(("phase", "first run", "s", "second run", "s", "summary"), rows))
    lines += [f"not tried: {name}, for this server has no {extension}" for name, extension in account.pending.items()]
    lines += [f"warning: {text}" for text in dict.fromkeys(text for run in account.runs for text in run.warnings)]
    if account.problem is not None:
        lines.append(f"{account.problem['code']}: {account.problem['message']}\n{account.problem['remedy']}")
    elif account.status == 0:
        tail = f"; {len(account.pending)} SQL files were not tried" if account.pending else ""
        lines.append(f"all well on PostgreSQL {account.server}: the second run changed nothing{tail}")
    if account.kept is not None:
        lines.append(f"kept: {account.kept}")
    return "\n".join(lines)


def _row(name: str, runs: Sequence[RunAccount]) -> tuple[str, ...]:
    cells = [name]
    summary = ""
    for run in (*runs[:2], *[None] * (2 - len(runs))):
        phase = next((each for each in run.phases if each.name == name), None) if run is not None else None
        cells += [phase.outcome, f"{phase.duration_s:.2f}"] if phase is not None else ["-", ""]
        summary = summary or (phase.summary if phase is not None else "")
    return (*cells, summary)


def as_document(account: Account) -> str:
    """The same as one JSON object."""
    return json.dumps(
        {
            "ok": account.status == 0,
            "status": account.status,
            "database": account.database,
            "server_version": account.server,
            "runs": [
                {
                    "status": run.status,
                    "phases": [
                        {
                            "phase": phase.name,
                            "outcome": phase.outcome,
                            "summary": phase.summary,
                            "duration_s": phase.duration_s,
                        }
                        for phase in run.phases
                    ],
                    "changes": {name: list(changes) for name, changes in run.changes.items()},
                    "warnings": list(run.warnings),
                }
                for run in account.runs
            ],
            "not_tried": [{"file": name, "extension": extension} for name, extension in account.pending.items()],
            "problem": account.problem,
            "kept": account.kept,
        },
        indent=2,
        ensure_ascii=False,
    )
