"""The build workflow, rehearsed with the steps that it has, on a real PostgreSQL."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.rehearse_build import COMMIT, FAULTS, IMAGE, WEBHOOK, copy_checkout, rehearse, verdict
from scripts.rehearse_workflow import Step
from tests.harness import Deployment

# The environment that the workflow installs, which would be downloaded each time, is the one of the tests.
VENV = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 64
mkdir -p "$3/bin"
printf '#!/bin/sh\\n' > "$3/bin/pip"
printf '#!/bin/sh\\nexec "{python}" "$@"\\n' > "$3/bin/python"
chmod +x "$3/bin/pip" "$3/bin/python"
"""


def rehearsal(
    folder: Path,
    deployment: Deployment,
    *,
    fault: str | None = None,
) -> list[Step]:
    """Run the workflow on a copy of this checkout, with the database and the Directus of a deployment."""
    checkout = copy_checkout(folder)
    if fault is not None:
        FAULTS[fault].make(checkout)
    database = {name: value for name, value in deployment.environ.items() if name.startswith("DB_")}
    built_in = {
        name: value
        for name, value in deployment.environ.items()
        if name not in {"SUPERVISOR_SQL_DIR", "SUPERVISOR_SNAPSHOT", "PYTHONPATH", *database}
    }
    environ = {
        "REHEARSAL_ENGINE": "checkout",
        "REHEARSAL_PYTHON": sys.executable,
        "REHEARSAL_RUN_ENV": json.dumps(
            {"DB_CLIENT": "pg", "SUPERVISOR_OPTIONAL_EXTENSIONS": "timescaledb", **built_in}
        ),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    programs = {"python": VENV.format(python=sys.executable)}
    return rehearse(folder, checkout, database, environ, programs=programs)


def docker_calls(folder: Path) -> list[list[str]]:
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def failure_of(steps: list[Step]) -> str:
    (failed,) = [step for step in steps if step.outcome == "failure"]
    return failed.output


def test_a_good_state_is_pushed_under_both_tags_and_announced(migrated_rally: Deployment, tmp_path: Path) -> None:
    steps = rehearsal(tmp_path, migrated_rally)
    assert verdict(steps, None) is None, steps
    pushed = [call[1:] for call in docker_calls(tmp_path) if call[0] == "push"]
    assert pushed == [[f"{IMAGE}:{COMMIT}"], [f"{IMAGE}:main"]]
    assert (tmp_path / "webhook").read_text().split()[-1] == WEBHOOK


def test_a_malformed_snapshot_is_stopped_before_anything_is_built(deployment: Deployment, tmp_path: Path) -> None:
    steps = rehearsal(tmp_path, deployment, fault="malformed-snapshot")
    assert verdict(steps, FAULTS["malformed-snapshot"]) is None, steps
    assert "schema.yaml" in failure_of(steps)
    assert not docker_calls(tmp_path)


def test_a_misplaced_sql_file_is_stopped_with_the_folder_that_it_belongs_to(
    deployment: Deployment, tmp_path: Path
) -> None:
    steps = rehearsal(tmp_path, deployment, fault="misplaced-sql")
    assert verdict(steps, FAULTS["misplaced-sql"]) is None, steps
    assert "Move the file to sql/post-schema/" in failure_of(steps)
    assert not docker_calls(tmp_path)


def test_a_sql_file_that_fails_is_stopped_by_the_dry_run(deployment: Deployment, tmp_path: Path) -> None:
    steps = rehearsal(tmp_path, deployment, fault="failing-sql")
    assert verdict(steps, FAULTS["failing-sql"]) is None, steps
    assert "900_fails.sql" in failure_of(steps)
    assert [call[0] for call in docker_calls(tmp_path)] == ["build", "run"]


def test_a_gate_that_lets_something_pass_is_told() -> None:
    passed = [Step(name, "success") for name in (FAULTS["drift"].step, "Push")]
    assert verdict(passed, None) is None
    assert verdict(passed, FAULTS["drift"]) is not None
    assert verdict([Step("Push", "skipped")], None) == "nothing was pushed"
