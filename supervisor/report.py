"""The account of a run: as a table for a person, and judged for a gate."""

from __future__ import annotations

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.run import Report
from supervisor.steps import is_step


def phase_table(report: Report) -> str:
    """One row a phase: what it did, and its seconds."""
    rows: list[tuple[str, str, str, str]] = [
        (phase.name, phase.outcome.result, f"{phase.duration_s:.2f}", phase.outcome.summary) for phase in report.phases
    ]
    if report.ready_s is not None:
        rows.append(("launch", "ready", f"{report.ready_s:.2f}", "Directus accepts requests"))
    total = sum(phase.duration_s for phase in report.phases) + (report.ready_s or 0.0)
    rows.append(("total", "", f"{total:.2f}", ""))
    header = ("phase", "outcome", "seconds", "summary")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {outcome:<{widths[1]}}  {seconds:>{widths[2]}}  {summary}".rstrip()
        for name, outcome, seconds, summary in [header, *rows]
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def expect_unchanged(report: Report) -> None:
    """Refuse a run in which a phase has changed the database.

    One-shot steps do not count: they run at each boot, and what they change is theirs to know.

    Raises:
        SupervisorError: ``MIGRATE_CHANGED``; names each such phase with its summary.
    """
    changed = [phase for phase in report.phases if phase.outcome.result == "changed" and not is_step(phase.name)]
    if changed:
        told = "; ".join(f"{phase.name} ({phase.outcome.summary})" for phase in changed)
        raise SupervisorError(
            errors.MIGRATE_CHANGED,
            f"Nothing was to change, but it did in {told}",
            phases=[phase.name for phase in changed],
        )
