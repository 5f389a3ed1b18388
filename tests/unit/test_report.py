"""The table that a person reads at the end of `--once`."""

from __future__ import annotations

from supervisor.boot import PhaseReport
from supervisor.phase import Outcome
from supervisor.report import phase_table
from supervisor.run import Report


def test_the_table_has_a_row_a_phase_and_a_total() -> None:
    report = Report(
        phases=(
            PhaseReport("wait_for_postgres", Outcome("unchanged", "PostgreSQL 15"), 0.5),
            PhaseReport("bootstrap", Outcome("changed", "installed"), 12.25),
        ),
        ready_s=2.0,
    )
    assert phase_table(report).splitlines() == [
        "phase              outcome    seconds  summary",
        "----------------------------------------------------------------",
        "wait_for_postgres  unchanged     0.50  PostgreSQL 15",
        "bootstrap          changed      12.25  installed",
        "launch             ready         2.00  Directus accepts requests",
        "total                           14.75",
    ]


def test_a_run_that_was_never_ready_has_no_launch() -> None:
    from supervisor.report import phase_table
    from supervisor.run import Report

    lines = phase_table(Report()).splitlines()
    assert len(lines) == 3
    assert lines[-1].split() == ["total", "0.00"]
