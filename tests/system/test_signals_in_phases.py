"""A stop in each phase: bounded, with the right status, with nothing left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.lock import LOCK_KEY
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually, free_port

BOUND_S = 10.0
# Without the check, only a request from us ends the statement on the server.
HALF = """SET client_connection_check_interval = 0;
          CREATE TABLE half (id int);
          INSERT INTO half VALUES (1);
          SELECT pg_sleep(600);"""
OURS = """SELECT count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name = 'directus-supervisor'"""

# What each command ends with: a stop is what `run` is for; a migration that was stopped is not done.
STATUS = {"run": 0, "migrate": 128 + signal.SIGTERM}


@pytest.fixture(params=["run", "migrate"])
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def processes_of(deployment: Deployment) -> list[int]:
    """Pids of everything that lives in the environment of this deployment, in whatever session."""
    marker = f"{deployment.folder}/".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def stop(deployment: Deployment, process: Supervised, command: str) -> None:
    """Stop it, and see that it ends in time, as asked, and alone."""
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    process.expect_exit(STATUS[command], timeout_s=BOUND_S)
    assert time.monotonic() - began < BOUND_S
    assert not process.of("supervisor.failed")
    assert not [record for record in process.records if record["level"] in {"error", "critical"}]
    assert "Traceback" not in process.text
    assert processes_of(deployment) == []


def wait_until_slow(session: Session) -> None:
    eventually(lambda: session.value(OURS + " AND state = 'active' AND query LIKE 'SELECT pg_sleep(600)%'") == 1)


def test_a_stop_while_postgres_is_awaited(deployment: Deployment, command: str) -> None:
    deployment.environ["DB_PORT"] = str(free_port())
    with deployment.start(command) as process:
        process.wait_for("postgres.waiting", attempt=3)
        stop(deployment, process, command)


def test_a_stop_while_a_server_says_nothing(deployment: Deployment, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deployment.environ["DB_PORT"] = str(silent.getsockname()[1])
        with deployment.start(command) as process:
            accepted, _ = silent.accept()
            with accepted:
                stop(deployment, process, command)


def test_a_stop_while_the_lock_is_awaited(
    cluster: PostgresCluster, database: str, deployment: Deployment, session: Session, command: str
) -> None:
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    with deployment.start(command) as process:
        process.wait_for("lock.waiting")
        stop(deployment, process, command)
    eventually(lambda: session.value(OURS) == 0, timeout_s=BOUND_S)


@pytest.mark.parametrize("folder", ["pre-schema", "post-schema"])
def test_a_stop_within_a_sql_file_keeps_nothing_of_it(
    deployment: Deployment, session: Session, command: str, folder: str
) -> None:
    deployment.sql(folder, "001_slow.sql", HALF)
    with deployment.start(command) as process:
        wait_until_slow(session)
        stop(deployment, process, command)
    # The statement ends on the server too, which would keep the lock otherwise.
    eventually(lambda: session.value(OURS) == 0, timeout_s=BOUND_S)
    assert not session.has("half")
    assert session.value("SELECT count(*) FROM migrations_applied") == 0


def test_a_stop_while_directus_bootstraps(deployment: Deployment, session: Session, command: str) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start(command) as process:
        process.wait_for("process.output", message="hanging")
        stop(deployment, process, command)
    eventually(lambda: session.value(OURS) == 0, timeout_s=BOUND_S)


def test_a_stop_between_ready_and_the_end_leaves_no_process(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        assert len(processes_of(deployment)) == 2
        stop(deployment, process, "run")


@pytest.mark.parametrize("delay_ms", [0, 20, 50, 100, 200, 400])
def test_a_stop_in_the_first_milliseconds_is_never_lost(deployment: Deployment, command: str, delay_ms: int) -> None:
    deployment.environ["DB_PORT"] = str(free_port())
    with deployment.start(command) as process:
        # It is the point of time that is tested here: this sleep orders nothing.
        time.sleep(delay_ms / 1000)
        process.signal(signal.SIGTERM)
        try:
            status = process.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            pytest.fail("the signal was lost\n" + process.text)
    # Before its first line Python has the kernel's own handler, which ends any process but PID 1.
    heard = bool(process.records)
    assert status in ({STATUS[command]} if heard else {STATUS[command], -signal.SIGTERM})
