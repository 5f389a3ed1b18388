"""The table that a person reads at the end of `--once`."""

from __future__ import annotations

import pytest

from supervisor import errors
from supervisor.boot import PhaseReport
from supervisor.errors import SupervisorError
from supervisor.phase import Outcome
from supervisor.report import expect_unchanged, phase_table
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
    lines = phase_table(Report()).splitlines()
    assert len(lines) == 3
    assert lines[-1].split() == ["total", "0.00"]


def test_a_phase_that_changed_something_is_refused_by_name_where_nothing_was_to_change() -> None:
    report = Report(
        phases=(
            PhaseReport("bootstrap", Outcome("unchanged", "no Directus migration is pending"), 0.1),
            PhaseReport("schema_apply", Outcome("changed", "1 field changed"), 0.1),
        )
    )
    with pytest.raises(SupervisorError, match=r"schema_apply \(1 field changed\)$") as refused:
        expect_unchanged(report)
    assert (refused.value.failure, refused.value.facts["phases"]) == (errors.MIGRATE_CHANGED, ["schema_apply"])


def test_steps_may_run_where_nothing_is_to_change() -> None:
    expect_unchanged(Report(phases=(PhaseReport("step:seed", Outcome("changed", "seed.sh succeeded"), 0.1),)))
