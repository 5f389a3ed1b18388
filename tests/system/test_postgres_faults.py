"""A Postgres that dies or freezes while the phases run."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from supervisor import errors
from supervisor.dev.postgres import PostgresCluster
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import connect, reset_session
from supervisor.postgres.lock import Lock
from supervisor.postgres.target import Target
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually

BOUND_S = 10.0
HALF = "CREATE TABLE half (id int);\nINSERT INTO half VALUES (1);\n"
SLOW_PID = """SELECT pid FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep(600)%'"""


@pytest.fixture
def slow(deployment: Deployment, own_cluster: PostgresCluster) -> Iterator[Supervised]:
    """A migration on a cluster of its own, in the middle of its second SQL file."""
    name = deployment.environ["DB_DATABASE"]
    anyio.run(own_cluster.create_database, name)
    deployment.environ |= own_cluster.directus_env(name)
    with Session(own_cluster, name) as session:
        # The clusters of the tests may lose their last commits at a crash, which is not what is tested here.
        session.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    deployment.sql("pre-schema", "001_quick.sql", "CREATE TABLE quick (id int);")
    deployment.sql("pre-schema", "002_slow.sql", HALF + "SELECT pg_sleep(600);")
    with deployment.start("migrate") as process:
        wait_until_slow(own_cluster, name)
        yield process


def wait_until_slow(cluster: PostgresCluster, database: str) -> int:
    """Wait until the slow file runs; the process id of its backend."""
    with Session(cluster, database) as session:
        eventually(lambda: session.value(SLOW_PID) is not None)
        return int(session.value(SLOW_PID))


def test_a_server_killed_within_a_file_leaves_nothing_of_it_and_the_next_run_converges(
    deployment: Deployment, own_cluster: PostgresCluster, slow: Supervised
) -> None:
    anyio.run(own_cluster.kill_immediately)
    slow.expect_exit(8, timeout_s=BOUND_S)
    assert slow.failure["code"] == "postgres.connection_lost"
    assert "pre-schema/002_slow.sql" in slow.failure["message"]
    assert "Transaction" not in slow.failure["message"]

    anyio.run(own_cluster.start)
    name = deployment.environ["DB_DATABASE"]
    deployment.environ |= own_cluster.directus_env(name)
    with Session(own_cluster, name) as session:
        assert session.applied == ["001_quick.sql"]
        assert not session.has("half")
        deployment.sql("pre-schema", "002_slow.sql", HALF)
        process = deployment.migrate()
        assert process.of("phase.finished", phase="pre_schema")[0]["summary"] == "1 applied, 1 skipped"
        assert session.applied == ["001_quick.sql", "002_slow.sql"]


def test_a_server_killed_while_directus_bootstraps_ends_with_status_8(
    deployment: Deployment, own_cluster: PostgresCluster
) -> None:
    name = deployment.environ["DB_DATABASE"]
    anyio.run(own_cluster.create_database, name)
    deployment.environ |= own_cluster.directus_env(name) | {"STAND_IN_BOOTSTRAP": "hang"}
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        anyio.run(own_cluster.kill_immediately)
        process.expect_exit(8, timeout_s=BOUND_S)
    assert "bootstrap" in process.failure["message"]


@pytest.mark.parametrize("frozen", ["backend", "backend and postmaster"])
def test_a_stop_is_bounded_while_the_server_is_frozen(
    deployment: Deployment, own_cluster: PostgresCluster, slow: Supervised, frozen: str
) -> None:
    pids = [wait_until_slow(own_cluster, deployment.environ["DB_DATABASE"])]
    if frozen != "backend":
        assert own_cluster.pid is not None
        pids.append(own_cluster.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        slow.signal(signal.SIGTERM)
        slow.expect_exit(128 + signal.SIGTERM, timeout_s=BOUND_S)
        assert time.monotonic() - began < BOUND_S
        assert not slow.of("supervisor.failed")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.anyio
async def test_a_frozen_server_is_found_by_the_heartbeat(cluster: PostgresCluster, database: str) -> None:
    connection = await cluster.connect(database)
    lock = Lock(connection, heartbeat_s=0.05, answer_s=0.2)
    pid = connection.get_server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with (
            anyio.fail_after(BOUND_S),
            pytest.raises(SupervisorError, match=r"during a test \(no answer in time\)") as caught,
        ):
            async with lock.guarding("a test"):
                await anyio.sleep_forever()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert caught.value.failure is errors.POSTGRES_LOST
    assert connection.is_closed()


@pytest.mark.anyio
async def test_the_kernel_looks_after_a_session_that_waits_for_its_statement(
    cluster: PostgresCluster, database: str
) -> None:
    environ = cluster.directus_env(database)
    target = Target(cluster.host, cluster.port, database, environ["DB_USER"], environ["DB_PASSWORD"])
    connection = await connect(target, BOUND_S)
    try:
        inner: Any = connection
        tcp = inner._transport.get_extra_info("socket")
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        # And the server looks after us, also once a file was run.
        for _ in range(2):
            assert await connection.fetchval("SELECT current_setting('tcp_keepalives_idle')") == "30"
            assert await connection.fetchval("SELECT current_setting('client_connection_check_interval')") == "2s"
            await reset_session(connection)
    finally:
        connection.terminate()


@pytest.mark.anyio
async def test_a_session_over_a_unix_socket_needs_no_keepalive(cluster: PostgresCluster, database: str) -> None:
    environ = cluster.directus_env(database)
    folder = str(cluster.socket_folder)
    connection = await connect(
        Target(folder, cluster.port, database, environ["DB_USER"], environ["DB_PASSWORD"]), BOUND_S
    )
    assert await connection.fetchval("SELECT current_setting('client_connection_check_interval')") == "2s"
    connection.terminate()
