"""`snapshot` and `diff` against the real Directus."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.command import run_command
from tests.harness import Deployment, eventually, is_gone


@pytest.mark.directus
def test_a_file_that_cannot_be_written_is_told_and_left_as_it_was(migrated_rally: Deployment) -> None:
    (migrated_rally.folder / "file").write_text("")
    done = run_command(migrated_rally, "snapshot", "--output", "file/schema.yaml")
    assert done.status == 5
    assert "schema.export_failed" in done.err
    assert [path.name for path in migrated_rally.snapshot.parent.iterdir()] == ["schema.yaml"]


@pytest.mark.directus
def test_a_database_that_cannot_be_reached_ends_with_a_status_of_its_own(migrated_rally: Deployment) -> None:
    migrated_rally.environ["DB_PASSWORD"] = "wrong"
    done = run_command(migrated_rally, "diff")
    assert done.status == 5
    assert "schema.export_failed" in done.err
    assert "wrong" not in done.err


@pytest.mark.parametrize("command", ["snapshot", "diff"])
def test_a_stop_ends_it_at_once_and_node_with_it(deployment: Deployment, command: str) -> None:
    started = deployment.folder / "started"
    modules = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules")
    (modules / "js-yaml").mkdir(exist_ok=True)
    (modules / "js-yaml" / "index.js").write_text("exports.load = JSON.parse;")
    (modules / "@directus/api/dist/database/index.js").write_text(
        "import { writeFileSync } from 'node:fs';"
        f"writeFileSync({json.dumps(str(started))}, String(process.pid));"
        "await new Promise((resolve) => setTimeout(resolve, 600_000));"
    )
    with deployment.start(command) as process:
        eventually(lambda: started.is_file() and bool(started.read_text()), timeout_s=30)
        process.signal(signal.SIGTERM)
        process.expect_exit(128 + signal.SIGTERM, timeout_s=10)
    assert is_gone(int(started.read_text()))
