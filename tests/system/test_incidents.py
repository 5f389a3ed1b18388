"""Whatever stops a boot, ends Directus or makes a process start again is one incident; what was asked for is none."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.incidents.good_boot import FILE
from supervisor.incidents.store import stored
from tests.command import run_command
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually

FAST = {"SUPERVISOR_RESTART_BACKOFF_S": "0.01"}
OFTEN = {**FAST, "SUPERVISOR_WATCH_INTERVAL_S": "0.05"}


@pytest.fixture
def folder(deployment: Deployment) -> Path:
    """Where the incidents of the deployment are kept."""
    path = deployment.folder / "incidents"
    deployment.environ["SUPERVISOR_INCIDENT_DIR"] = str(path)
    deployment.environ["SUPERVISOR_TERMINATION_LOG"] = str(deployment.folder / "termination-log")
    return path


def told(deployment: Deployment) -> str:
    return (deployment.folder / "termination-log").read_text(encoding="utf-8")


def codes(process: Supervised) -> list[str]:
    return [record["code"] for record in process.of("incident")]


def stop(process: Supervised) -> None:
    process.signal(signal.SIGTERM)
    process.expect_exit(0)


def test_each_death_is_one_incident_and_the_last_one_is_the_crash_loop(deployment: Deployment, folder: Path) -> None:
    deployment.environ |= {
        **FAST,
        "STAND_IN": "end",
        "STAND_IN_STATUS": "42",
        "STAND_IN_WORDS": "the ship\nis sinking",
        "SUPERVISOR_RESTART_LIMIT": "2",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert codes(process) == ["process.exit", "process.exit", "directus.crash_loop"]
    first, second, last = process.of("incident")
    assert first["message"] == "directus ended with status 42."
    assert [each["restarts"] for each in (first, second, last)] == [0, 1, 2]
    for each in (first, second, last):
        assert (each["process"], each["exit_status"], each["oom"], each["level"]) == ("directus", 42, False, "error")
        assert each["last_lines"] == ["the ship", "is sinking"]
        assert each["runbook"].startswith("docs/runbook.md#")
        assert each["changed"] is None
        assert each["uptime_s"] > 0
    assert "exit_code" not in first
    assert (last["exit_code"], last["deaths"]) == (7, 3)
    assert process.records[-1]["event"] == "supervisor.failed"
    assert [each.document["code"] for each in stored(folder) if each.document] == codes(process)[::-1]
    assert told(deployment).startswith("directus ended 3 times within ")
    assert "\nWhat to do: " in told(deployment)
    assert told(deployment).endswith("Last lines:\nthe ship\nis sinking")


def test_the_failure_is_told_before_the_side_processes_are_ended_and_no_stop_outruns_it(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "SUPERVISOR_RESTART_LIMIT": "0", "SUPERVISOR_STOP_TIMEOUT_S": "600"}
    stubborn = (
        """processes: [{name: stubborn, command: [sh, -c, "trap '' TERM; echo on; while :; do sleep 0.1; done"]}]"""
    )
    (deployment.folder / "supervisor.yaml").write_text(stubborn)
    with deployment.start("run") as process:
        process.wait_for("incident", code="directus.crash_loop")
        assert not process.of("process.exited", process="stubborn")
        process.signal(signal.SIGTERM)
        process.wait_for("signal.received", action="stop")
        process.signal(signal.SIGTERM)
        process.expect_exit(7)
    assert codes(process) == ["directus.crash_loop"]
    assert process.failure["process"] == "directus"
    assert not process.of("stop.outran_failure")


def test_a_kill_by_somebody_is_one_incident(deployment: Deployment, folder: Path) -> None:
    deployment.environ |= FAST
    with deployment.start("run") as process:
        os.kill(process.wait_for("process.ready")["pid"], signal.SIGKILL)
        eventually(lambda: len(process.of("process.ready")) == 2)
        (incident,) = process.of("incident")
        assert (incident["code"], incident["signal"], incident["oom"]) == ("process.signal", "SIGKILL", False)
        assert process.of("process.restarting")[0]["cause"] == "signal"
        stop(process)
    assert codes(process) == ["process.signal"]
    assert not (deployment.folder / "termination-log").exists()
    assert len(stored(folder)) == 1
    assert (folder / FILE).is_file(), "it was ready until it was to stop"


def test_a_hang_is_one_incident(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "drop",
        "SUPERVISOR_WATCH_FAILURES": "2",
        "SUPERVISOR_RESTART_LIMIT": "1",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert codes(process) == ["process.hang", "directus.crash_loop"]
    assert process.of("incident")[0]["message"] == "directus hangs: it did not answer 2 times in a row."
    assert process.failure["cause"] == "hang"


def test_too_much_memory_is_one_incident(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "eat-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_MEGABYTES": "400",
        "SUPERVISOR_MEMORY_LIMIT_MB": "300",
        "SUPERVISOR_WATCH_FAILURES": "0",
    }
    with deployment.start("run") as process:
        eventually(lambda: len(process.of("process.ready")) == 2)
        stop(process)
    assert codes(process) == ["process.memory_limit"]
    assert process.of("process.restarting")[0]["cause"] == "memory_limit"


def test_a_directus_that_is_late_is_one_incident(deployment: Deployment) -> None:
    deployment.environ |= {**FAST, "STAND_IN": "never-ready", "SUPERVISOR_READY_TIMEOUT_S": "0.5"}
    deployment.environ["SUPERVISOR_RESTART_LIMIT"] = "1"
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert codes(process) == ["process.not_ready", "directus.crash_loop"]


def test_a_directus_that_cannot_start_is_one_incident(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "STAND_IN_WORDS": '"KEY" Environment Variable is missing.'}
    with deployment.start("run") as process:
        process.expect_exit(78)
    assert codes(process) == ["directus.misconfigured"]
    failure = process.failure
    assert (failure["process"], failure["exit_status"], failure["exit_code"]) == ("directus", 1, 78)


def test_a_side_process_that_is_given_up_is_one_incident_for_each_death(deployment: Deployment) -> None:
    worker = {"name": "worker", "command": ["sh", "-c", "echo tired; exit 3"], "restart_limit": 1}
    programs = {"processes": [{**worker, "restart_backoff_s": 0.01}, {"name": "none", "command": "/no/such/program"}]}
    (deployment.folder / "supervisor.yaml").write_text(json.dumps(programs))
    with deployment.start("run") as process:
        process.wait_for("process.given_up", process="worker")
        process.wait_for("process.ready")
        stop(process)
    of_worker = process.of("incident", process="worker")
    assert [record["code"] for record in of_worker] == ["process.exit", "process.given_up"]
    assert {record["exit_status"] for record in of_worker} == {3}
    assert of_worker[-1]["last_lines"] == ["tired"]
    (none,) = process.of("incident", process="none")
    assert (none["code"], "exit_code" in none) == ("process.given_up", False)
    assert len(process.of("incident")) == 3


def test_what_was_asked_for_is_no_incident(deployment: Deployment, folder: Path) -> None:
    deployment.migrate()
    with deployment.start("run", "--once") as process:
        process.expect_exit(0)
    with deployment.start("run") as reloaded:
        reloaded.wait_for("process.ready")
        reloaded.signal(signal.SIGHUP)
        eventually(lambda: len(reloaded.of("process.ready")) == 2)
        assert [record["cause"] for record in reloaded.of("process.restarting")] == ["reload"]
        stop(reloaded)
    deployment.environ |= {"STAND_IN": "end", "STAND_IN_STATUS": "3", "SUPERVISOR_RESTART_NEVER_STATUSES": "3"}
    with deployment.start("run") as ended:
        ended.expect_exit(3)
    for each in (process, reloaded, ended):
        assert not each.of("incident")
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert not (deployment.folder / "termination-log").exists()


def test_a_failure_that_a_stop_outran_is_no_incident(deployment: Deployment, folder: Path) -> None:
    deployment.environ |= {"SUPERVISOR_DRAIN_S": "600", "SUPERVISOR_RESTART_LIMIT": "0"}
    with deployment.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        process.signal(signal.SIGTERM)
        process.wait_for("stop.draining")
        os.kill(pid, signal.SIGKILL)
        process.expect_exit(0, timeout_s=20)
    assert not process.of("incident")
    assert stored(folder) == []


def test_a_check_that_fails_is_no_incident(deployment: Deployment, folder: Path) -> None:
    deployment.sql("pre-schema", "001_a.sql", "selekt 1;")
    assert run_command(deployment, "check").status == 1
    assert not folder.exists()


def broken_sql(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_a.sql", "SELECT 1;\nselekt 1;")


def two_of_one_number(deployment: Deployment) -> None:
    for name in ("001_a.sql", "001_b.sql"):
        deployment.sql("pre-schema", name, "SELECT 1;")


def wrong_setting(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_DRAIN_S"] = "soon"


def no_directus(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_DIRECTUS_DIR"] = "/no/such/folder"


def wrong_database(deployment: Deployment) -> None:
    deployment.environ["DB_DATABASE"] = "no_such_database"


def no_server(deployment: Deployment) -> None:
    deployment.environ |= {"DB_HOST": "127.0.0.1", "DB_PORT": "9", "SUPERVISOR_POSTGRES_TIMEOUT_S": "0.5"}


def failing_bootstrap(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "fail"


def no_snapshot_at_all(deployment: Deployment) -> None:
    deployment.snapshot.parent.mkdir(exist_ok=True)
    deployment.snapshot.write_text("a: [")


def no_such_command(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_COMMAND"] = "/no/such/program"


def failing_step(deployment: Deployment) -> None:
    step = {"name": "seed", "after": "bootstrap", "command": ["sh", "-c", "echo no; exit 9"]}
    (deployment.folder / "supervisor.yaml").write_text(json.dumps({"steps": [step]}))


@pytest.mark.parametrize(
    ("spoil", "status", "code", "expected"),
    [
        (wrong_setting, 78, "config.invalid", {}),
        (no_directus, 78, "directus.not_found", {}),
        (two_of_one_number, 4, "sql.duplicate_number", {}),
        (broken_sql, 3, "sql.failed", {"phase": "pre_schema"}),
        (wrong_database, 78, "postgres.refused", {"phase": "wait_for_postgres"}),
        (no_server, 8, "postgres.unreachable", {"phase": "wait_for_postgres"}),
        (
            failing_bootstrap,
            5,
            "directus.bootstrap_failed",
            {"phase": "bootstrap", "process": "bootstrap", "exit_status": 1},
        ),
        (no_snapshot_at_all, 5, "schema.snapshot_invalid", {"phase": "schema_apply"}),
        (failing_step, 5, "step.failed", {"phase": "step:seed", "process": "seed", "exit_status": 9}),
        (no_such_command, 127, "process.not_found", {"process": "directus"}),
    ],
)
def test_a_boot_that_fails_is_one_incident(
    spoil: Callable[[Deployment], None],
    status: int,
    code: str,
    expected: dict[str, Any],
    deployment: Deployment,
    folder: Path,
) -> None:
    spoil(deployment)
    with deployment.start("run") as process:
        process.expect_exit(status)
    assert codes(process) == [code]
    failure = process.failure
    where = {name: failure[name] for name in ("phase", "process", "exit_status") if name in failure}
    assert where == expected
    (kept,) = stored(folder)
    assert kept.document is not None
    assert {name: kept.document[name] for name in ("code", "exit_code")} == {"code": code, "exit_code": status}
    assert f"Code: {code}, exit {status}; runbook: docs/runbook.md#" in told(deployment)
    asked = code.startswith(("sql.failed", "postgres.", "directus.bootstrap", "schema.", "step."))
    assert ("postgres" in failure) is (asked or code == "sql.duplicate_number")
    if asked:
        assert failure["postgres"]["reachable"] is (not code.startswith("postgres."))
        assert failure["postgres"]["disk_full"] is False


def test_a_port_that_is_taken_is_one_incident(deployment: Deployment) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = str(squatter.getsockname()[1])
        with deployment.start("run") as process:
            process.wait_for("process.ready")
            stop(process)
        health = dict(deployment.environ)
        deployment.environ["PORT"] = port
        with deployment.start("run") as process:
            process.expect_exit(78)
        assert codes(process) == ["directus.port_taken"]
        assert "phase" not in process.failure
        deployment.environ = {**health, "SUPERVISOR_HEALTH_PORT": port}
        with deployment.start("run") as process:
            process.expect_exit(78)
        assert codes(process) == ["health.port_taken"]


def test_the_state_of_postgres_is_told_after_a_failed_boot(deployment: Deployment) -> None:
    broken_sql(deployment)
    postgres = deployment.migrate(status=3).failure["postgres"]
    assert postgres["reachable"] is True
    assert postgres["version"][0].isdigit()
    assert 0 < postgres["connections"] <= postgres["max_connections"]
    assert (postgres["in_recovery"], postgres["disk_full"]) == (False, False)


def test_a_postgres_that_does_not_answer_is_waited_for_a_second_at_most(deployment: Deployment) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        deployment.environ |= {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(silent.getsockname()[1]),
            "SUPERVISOR_POSTGRES_TIMEOUT_S": "0.5",
        }
        with deployment.start("run") as process:
            process.wait_for("phase.failed")
            began = time.monotonic()
            process.expect_exit(8)
            assert time.monotonic() - began < 4
    assert process.failure["postgres"] == {
        "reachable": False,
        "reason": "it did not answer within 1 s",
        "disk_full": False,
    }


def test_a_crash_loop_for_the_database_tells_how_the_database_is(deployment: Deployment) -> None:
    deployment.environ |= {
        **FAST,
        "STAND_IN": "end",
        "STAND_IN_WORDS": "Error: Connection terminated unexpectedly",
        "SUPERVISOR_RESTART_LIMIT": "1",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert "postgres" not in process.of("incident")[0], "never in front of a restart"
    assert process.failure["postgres"]["reachable"] is True


@pytest.mark.parametrize("kept", [True, False], ids=["by the folder", "by the database"])
def test_what_changed_since_the_last_good_boot_is_named(kept: bool, deployment: Deployment, folder: Path) -> None:
    if not kept:
        del deployment.environ["SUPERVISOR_INCIDENT_DIR"]
    edited = deployment.sql("pre-schema", "001_a.sql", "SELECT 1;")
    deployment.sql("pre-schema", "002_b.sql", "SELECT 2;")
    deployment.migrate()
    assert (folder / FILE).exists() is kept
    edited.write_text("SELECT 3;")
    deployment.sql("post-schema", "003_c.sql", "selekt 1;")
    deployment.environ["SUPERVISOR_LOCK_TIMEOUT_S"] = "77"
    failure = deployment.migrate(status=2).failure
    files = {"what": "sql_files", "before": 2, "after": 3, "added": ["003_c.sql"], "edited": ["001_a.sql"]}
    settings = {"what": "settings", "name": "SUPERVISOR_LOCK_TIMEOUT_S", "before": None, "after": "77"}
    assert failure["changed"] == [{**files, "removed": []}, *([settings] if kept else [])]
    assert failure["last_good_boot"] < failure["timestamp"]


def test_a_boot_that_failed_is_no_good_one(deployment: Deployment, session: Session, folder: Path) -> None:
    deployment.migrate()
    good = (folder / FILE).read_text()
    broken_sql(deployment)
    for _ in range(2):
        (files,) = deployment.migrate(status=3).failure["changed"]
        assert files["added"] == ["001_a.sql"]
    assert (folder / FILE).read_text() == good


def test_the_kept_incidents_are_listed_and_shown(deployment: Deployment, folder: Path) -> None:
    assert "no incident is kept" in run_command(deployment, "incidents").err
    broken_sql(deployment)
    deployment.migrate(status=3)
    (deployment.folder / "incidents" / "20990101T000000.000Z-sql.failed-0123456789ab.json").write_text("{half")
    unreadable, (identity, *message) = run_command(deployment, "incidents").lines[1:]
    assert unreadable[1] == "(unreadable)"
    assert "001_a.sql:2" in " ".join(message)
    (document,) = run_command(deployment, "incidents", "--json", "--dir", str(folder)).document
    assert (document["id"], document["code"]) == (identity, "sql.failed")
    shown = run_command(deployment, "incidents", identity[:4]).out
    assert f"id: {identity}\ncode: sql.failed\n" in shown
    assert "\nphase: pre_schema\n" in shown
    assert run_command(deployment, "incidents", "1999").status == 64
    del deployment.environ["SUPERVISOR_INCIDENT_DIR"]
    assert run_command(deployment, "incidents").status == 78
