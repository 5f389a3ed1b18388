"""A database that the bash flow made, with the real Directus: taken over whole, changed, and given back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.dev.paths import project_data_folder
from supervisor.dev.postgres import PostgresCluster
from supervisor.dev.postgres_binaries import find_postgres
from tests.database import Session
from tests.harness import Deployment

PROJECT = Path(__file__).parents[2]
ROWS = "SELECT migrations_applied::text FROM migrations_applied ORDER BY filename"
COLUMNS = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'vehicles'"


class BashFlow:
    """The old image: the same files, applied by a shell script; it ends where pm2-runtime would begin."""

    def __init__(self, deployment: Deployment, directus_dir: Path, node: Path) -> None:
        pm2 = deployment.folder / "pm2-runtime.js"
        pm2.write_text("process.exit(0)\n")
        cli = directus_dir / "node_modules" / "@directus" / "api" / "dist" / "cli" / "run.js"
        path = os.pathsep.join([str(node.parent), str(find_postgres().folder), deployment.environ["PATH"]])
        self.cwd = directus_dir
        self.environ = {
            **{name: value for name, value in deployment.environ.items() if not name.startswith("SUPERVISOR_")},
            "PATH": path,
            "SQL_DIR": str(deployment.folder / "sql"),
            "SNAPSHOT": str(deployment.snapshot),
            "DIRECTUS_CLI": str(cli),
            "PM2_RUNTIME": str(pm2),
            "ECOSYSTEM": "none",
        }

    def boot(self) -> str:
        """Boot it to the end of its migrations; what it says."""
        done = subprocess.run(
            [str(PROJECT / "benchmarks" / "bash_flow" / "entrypoint.sh")],
            env=self.environ,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout


def summaries(deployment: Deployment, status: int = 0) -> dict[str, str]:
    """Outcome and summary of each phase of one boot."""
    process = deployment.migrate(status, timeout_s=400)
    return {line["phase"]: f"{line['outcome']}: {line['summary']}" for line in process.of("phase.finished")}


@pytest.mark.directus
def test_a_database_of_the_bash_flow_is_taken_over_changed_and_given_back(
    rally: Deployment, cluster: PostgresCluster, database: str, session: Session, directus_dir: Path, node_binary: Path
) -> None:
    for path in rally.folder.glob("sql/*/*.sql"):
        # The bash flow cannot leave a file pending.
        if "requires-extension" in path.read_text():
            path.unlink()
    bash = BashFlow(rally, directus_dir, node_binary)
    assert "apply" in bash.boot()
    session.execute("INSERT INTO vehicles (id, make, model) VALUES (gen_random_uuid(), 'Lada', 'Niva')")
    rows = session.column(ROWS)
    assert rows

    # Taken over: nothing runs again, nothing is lost, and it is ready.
    seen = summaries(rally)
    assert seen["pre_schema"].startswith("unchanged: 0 applied")
    assert seen["bootstrap"].startswith("unchanged")
    assert seen["schema_apply"].startswith("unchanged")
    assert seen["post_schema"].startswith("unchanged: 0 applied")
    assert session.column(ROWS) == rows
    with rally.start("run", "--once") as process:
        process.wait_for("process.ready", timeout_s=120)
        assert not process.of("directus.step")
        process.expect_exit(0)
    assert session.column("SELECT make FROM vehicles") == ["Lada"]

    # Changed: a new file runs once, an edited one is found.
    rally.sql("post-schema", "090_after.sql", "ALTER TABLE vehicles ADD CONSTRAINT cc_positive CHECK (cc > 0);\n")
    assert summaries(rally)["post_schema"].startswith("changed: 1 applied")
    before = session.column(ROWS)
    edited = next(rally.folder.glob("sql/pre-schema/*.sql"))
    original = edited.read_bytes()
    edited.write_bytes(original + b"\n-- another thought\n")
    assert rally.migrate(2).failure["code"] == "sql.checksum_mismatch"
    edited.write_bytes(original)

    # Given back: the old flow finds everything applied, and so does ours once more.
    told = bash.boot()
    assert "apply 0" not in told
    assert "skip 090_after.sql" in told
    assert session.column(ROWS) == before
    assert session.column("SELECT make FROM vehicles") == ["Lada"]
    assert "plate" in session.column(COLUMNS)
    assert summaries(rally)["post_schema"].startswith("unchanged")


@pytest.mark.directus
def test_a_dry_run_with_the_real_directus_is_at_rest(
    rally: Deployment, cluster: PostgresCluster, database: str, tmp_path: Path
) -> None:
    for name in [name for name in rally.environ if name.startswith("DB_")]:
        del rally.environ[name]
    rally.environ["XDG_DATA_HOME"] = str(tmp_path / "data")
    shutil.copytree(PROJECT / "snapshots", rally.folder / "snapshots", dirs_exist_ok=True)
    data = project_data_folder(rally.folder, rally.environ)
    try:
        with rally.start("dry-run") as process:
            process.expect_exit(0, timeout_s=400)
    finally:
        shutil.rmtree(data.with_name(f"{data.name}-dry-run"), ignore_errors=True)
    assert "the second run changed nothing" in process.text
    assert "not tried: pre-schema/001_timescaledb.sql" in process.text
