"""Side processes and one-shot steps of supervisor.yaml, with the real command; the shell is the program."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.harness import Deployment, Supervised, eventually, free_port, is_gone

DOCUMENT = Path(__file__).parents[2] / "docs" / "programs.md"
FOR_EVER = "exec sleep 600"


def shell(name: str, script: str, **keys: object) -> dict[str, Any]:
    return {"name": name, "command": ["sh", "-c", script], **keys}


def declare(deployment: Deployment, **lists: object) -> None:
    """Write supervisor.yaml; JSON is YAML."""
    (deployment.folder / "supervisor.yaml").write_text(json.dumps(lists), encoding="utf-8")


def phases_of(process: Supervised) -> list[str]:
    return [record["phase"] for record in process.of("phase.started")]


def said(process: Supervised, name: str) -> list[str]:
    return [record["message"] for record in process.of("process.output", process=name)]


def place_of(log: Supervised, event: str, **fields: object) -> int:
    """Where the only such record stands in the log."""
    (record,) = log.of(event, **fields)
    return log.records.index(record)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def pid_in(path: Path) -> int:
    """The pid that a program writes into a file, once it has."""
    eventually(lambda: path.exists() and path.read_text(encoding="ascii").endswith("\n"))
    return int(path.read_text(encoding="ascii"))


def test_steps_run_where_they_are_declared_in_the_order_of_the_file(deployment: Deployment) -> None:
    declare(
        deployment,
        steps=[
            shell("last", "true", after="post_schema"),
            shell("first", "true", before="wait_for_postgres"),
            shell("connected", "true", after="wait_for_postgres"),
            shell("locked", "true", before="pre_schema"),
            shell("very-last", "true", after="post_schema"),
        ],
    )
    assert phases_of(deployment.migrate()) == [
        "step:first",
        "wait_for_postgres",
        "step:connected",
        "step:locked",
        "pre_schema",
        "bootstrap",
        "schema_apply",
        "post_schema",
        "step:last",
        "step:very-last",
    ]


def test_a_step_has_its_name_its_folder_and_its_variables(deployment: Deployment) -> None:
    (deployment.folder / "directus" / "jobs").mkdir()
    environment = {"COLOUR": "blue", "ADMIN_EMAIL": "other@example.com", "JOB_TOKEN": "token-of-the-job"}
    script = 'echo "$COLOUR $ADMIN_EMAIL $SECRET $JOB_TOKEN"; pwd; env | grep -c ^SUPERVISOR_ >&2 || true'
    declare(deployment, steps=[shell("job", script, after="bootstrap", directory="jobs", environment=environment)])
    process = deployment.migrate()
    lines = set(said(process, "job"))
    assert lines == {"blue other@example.com [redacted] [redacted]", str(deployment.folder / "directus" / "jobs"), "0"}
    assert "token-of-the-job" not in process.text
    process.wait_for("step.finished", step="job")


def test_a_step_that_fails_ends_the_boot_with_its_last_words(deployment: Deployment) -> None:
    declare(
        deployment,
        steps=[
            shell("broken", "echo fine; echo 'no disk left' >&2; exit 3", before="bootstrap"),
            shell("later", "true", after="bootstrap"),
        ],
    )
    process = deployment.migrate(status=5)
    assert process.failure["code"] == "step.failed"
    assert process.failure["step"] == "broken"
    assert "The step broken (before bootstrap) ended with status 3" in process.failure["message"]
    assert set(process.failure["last_lines"]) == {"fine", "no disk left"}
    assert phases_of(process) == ["wait_for_postgres", "pre_schema", "step:broken"]


def test_a_failed_step_keeps_directus_from_being_started(deployment: Deployment) -> None:
    declare(deployment, steps=[shell("broken", "exit 1", after="post_schema")])
    with deployment.start("run") as process:
        process.expect_exit(5)
    assert not process.of("process.started", process="directus")


def test_a_step_that_hangs_is_ended_with_all_that_it_started(deployment: Deployment) -> None:
    pids = [deployment.folder / name for name in ("one", "two")]
    script = f"trap '' TERM; sleep 600 & echo $! >{pids[1]}; echo $$ >{pids[0]}; while :; do wait; done"
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "0.3"
    declare(deployment, steps=[shell("slow", script, before="wait_for_postgres", timeout_s=0.5)])
    process = deployment.migrate(status=5)
    assert process.failure["code"] == "step.failed"
    assert "took longer than 0.5 s" in process.failure["message"]
    assert phases_of(process) == ["step:slow"]
    assert all(is_gone(pid_in(path)) for path in pids)


@pytest.mark.parametrize(("command", "status"), [("/no/such/program", 127), ("no-such-program", 127), ("/etc", 126)])
def test_a_step_that_cannot_be_started_ends_as_a_shell_would(deployment: Deployment, command: str, status: int) -> None:
    declare(deployment, steps=[{"name": "wrong", "command": command, "before": "wait_for_postgres"}])
    process = deployment.migrate(status)
    assert "wrong: " in process.failure["message"]
    assert command in process.failure["message"]
    assert phases_of(process) == ["step:wrong"]


@pytest.mark.parametrize(("command", "status"), [("run", 0), ("migrate", 143)])
def test_a_stop_during_a_step_ends_it_and_everything(deployment: Deployment, command: str, status: int) -> None:
    pid_file = deployment.folder / "pid"
    script = f"sleep 600 & echo $! >{pid_file}; echo here; wait"
    declare(deployment, steps=[shell("slow", script, before="bootstrap")])
    with deployment.start(command) as process:
        process.wait_for("process.output", message="here")
        process.signal(signal.SIGTERM)
        process.expect_exit(status, timeout_s=10)
    assert phases_of(process)[-1] == "step:slow"
    assert is_gone(pid_in(pid_file))
    assert not process.of("supervisor.failed")


def test_a_step_is_stopped_when_the_migration_lock_is_lost(
    deployment: Deployment, cluster: PostgresCluster, database: str
) -> None:
    declare(deployment, steps=[shell("slow", f"echo here; {FOR_EVER}", before="bootstrap")])

    async def end_all_sessions() -> None:
        connection = await cluster.connect()
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database
            )
        finally:
            await connection.close()

    with deployment.start("migrate") as process:
        process.wait_for("process.output", message="here")
        anyio.run(end_all_sessions)
        process.wait_for("process.exited", process="slow")
        process.wait_for("supervisor.failed", code="postgres.connection_lost")


def test_side_processes_start_before_directus_and_end_after_it(deployment: Deployment) -> None:
    ship = "trap 'echo shipped; exit 0' TERM; echo shipping; while :; do sleep 0.1; done"
    declare(deployment, processes=[shell("shipper", ship), shell("worker", FOR_EVER)])
    with deployment.start("run") as process:
        process.wait_for("process.ready", process="directus")
        process.wait_for("process.output", message="shipping")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert [record["process"] for record in process.of("process.started")] == ["shipper", "worker", "directus"]
    gone = place_of(process, "process.exited", process="directus")
    assert gone < place_of(process, "process.stopping", process="shipper")
    assert gone < place_of(process, "process.stopping", process="worker")
    assert (said(process, "shipper")[0], said(process, "shipper")[-1]) == ("shipping", "shipped")
    assert {record["component"] for record in process.of("process.output", process="shipper")} == {"side"}


def test_a_side_process_that_dies_is_restarted_and_directus_is_not(deployment: Deployment) -> None:
    mark = deployment.folder / "mark"
    script = f"if [ -e {mark} ]; then echo again; {FOR_EVER}; fi; touch {mark}; exit 1"
    declare(deployment, processes=[shell("worker", script, restart_backoff_s=0.01)])
    with deployment.start("run") as process:
        process.wait_for("process.restarting", process="worker", restart=1)
        process.wait_for("process.output", process="worker", message="again")
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert len(process.of("process.started", process="directus")) == 1


def test_a_side_process_in_a_crash_loop_is_given_up_and_the_rest_goes_on(deployment: Deployment) -> None:
    port = free_port()
    deployment.environ["SUPERVISOR_HEALTH_PORT"] = str(port)
    keys = {"restart_limit": 2, "restart_backoff_s": 0.01}
    declare(deployment, processes=[shell("worker", "echo 'no queue' >&2; exit 1", **keys), shell("other", FOR_EVER)])
    with deployment.start("run") as process:
        given_up = process.wait_for("process.given_up", process="worker")
        process.wait_for("process.ready")
        assert is_ready(port)
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert "worker ended 3 times" in given_up["message"]
    assert "no queue" in given_up["message"]
    assert place_of(process, "process.stopping", process="other")
    assert not process.of("supervisor.failed")


def test_a_side_process_that_cannot_be_started_is_given_up(deployment: Deployment) -> None:
    declare(
        deployment,
        processes=[
            {"name": "wrong", "command": "/no/such/program"},
            {"name": "lost", "command": "true", "directory": "/no/such/folder"},
        ],
    )
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        assert "/no/such/program" in process.wait_for("process.given_up", process="wrong")["message"]
        assert "/no/such/folder" in process.wait_for("process.given_up", process="lost")["message"]
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


def test_a_side_process_may_end_for_good(deployment: Deployment) -> None:
    declare(deployment, processes=[shell("once", "exit 9", restart_never_statuses=[9])])
    with deployment.start("run") as process:
        given_up = process.wait_for("process.given_up", process="once", level="info")
        assert given_up["message"] == "once ended with status 9, which is not restarted"
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert not process.of("process.restarting")


def test_a_side_process_cannot_lengthen_the_stop(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "1"
    stubborn = "trap '' TERM; echo here; while :; do sleep 0.1; done"
    declare(deployment, processes=[shell("stubborn", stubborn, stop_timeout_s=600)])
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.wait_for("process.output", message="here")
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)
    assert time.monotonic() - began < 6
    assert process.of("process.killed", process="stubborn")


def test_a_second_stop_signal_kills_the_side_processes_too(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "600"
    stubborn = "trap 'echo no' TERM; echo here; while :; do sleep 0.1; done"
    declare(deployment, processes=[shell("stubborn", stubborn)])
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.wait_for("process.output", message="here")
        process.signal(signal.SIGTERM)
        process.wait_for("process.output", message="no")
        process.signal(signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)


def test_side_processes_end_when_directus_is_given_up(deployment: Deployment) -> None:
    pid_file = deployment.folder / "pid"
    deployment.environ |= {"STAND_IN": "die-at-once", "SUPERVISOR_RESTART_LIMIT": "0"}
    declare(deployment, processes=[shell("worker", f"echo $$ >{pid_file}; {FOR_EVER}")])
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert process.failure["code"] == "directus.crash_loop"
    assert is_gone(pid_in(pid_file))


def test_a_migration_starts_no_side_process(deployment: Deployment) -> None:
    declare(deployment, processes=[shell("worker", FOR_EVER)], steps=[shell("job", "true", after="bootstrap")])
    process = deployment.migrate()
    assert process.of("step.finished", step="job")
    assert not process.of("process.started")


def test_every_mistake_in_the_file_is_told_before_anything_runs(deployment: Deployment) -> None:
    declare(
        deployment,
        log_level="loud",
        processes=[{"name": "directus", "comand": "x"}],
        steps=[shell("job", "true", after="lunch", timeout_s=0)],
    )
    process = deployment.migrate(status=78)
    told = "\n".join(process.failure["problems"])
    path = deployment.folder / "supervisor.yaml"
    for sentence in (
        f"{path}: log_level is 'loud'",
        f"{path}: processes[0]: unknown key 'comand'; did you mean command?",
        f"{path}: processes[0].name is 'directus'",
        f"{path}: processes[0].command is missing",
        f"{path}: steps[0].after is 'lunch'",
        f"{path}: steps[0].timeout_s is 0",
    ):
        assert sentence in told
    assert not process.of("boot.started")


def test_the_complete_example_of_the_document_runs(deployment: Deployment) -> None:
    (example, *_) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    commands = deployment.folder / "bin"
    commands.mkdir()
    for name in ("node", "pg_dump", "fetch-secrets.sh"):
        program = commands / name
        program.write_text("#!/bin/sh\ncase $1 in worker.js) exec sleep 600;; esac\necho done\n", encoding="utf-8")
        program.chmod(0o755)
    (deployment.folder / "directus" / "workers").mkdir()
    (commands / "fetch-secrets.sh").rename(deployment.folder / "directus" / "fetch-secrets.sh")
    example = example.replace("/backup/", f"{deployment.folder}/")
    (deployment.folder / "supervisor.yaml").write_text(example, encoding="utf-8")
    deployment.environ["PATH"] = f"{commands}:{deployment.environ['PATH']}"
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert [record["step"] for record in process.of("step.finished")] == ["fetch-secrets", "backup", "warm-cache"]
    # The example's shipper is a program that is not here.
    assert [record["process"] for record in process.of("process.given_up")] == ["shipper"]
    assert process.of("process.exited", process="mail-worker", signal="SIGTERM")
    assert (deployment.folder / "before.dump").read_text(encoding="utf-8") == "done\n"
