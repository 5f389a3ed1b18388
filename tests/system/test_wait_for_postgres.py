"""The wait for Postgres by the command: what is retried, what is not, and how it reads."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment, eventually, free_port

SOON = {"SUPERVISOR_POSTGRES_TIMEOUT_S": "1.5"}


@pytest.fixture
def stopped_cluster(own_cluster: PostgresCluster, deployment: Deployment) -> PostgresCluster:
    """A cluster that has been made and does not run; the deployment's database is in it."""
    anyio.run(own_cluster.create_database, deployment.environ["DB_DATABASE"])
    anyio.run(own_cluster.stop)
    deployment.environ |= own_cluster.directus_env(deployment.environ["DB_DATABASE"])
    return own_cluster


def test_a_server_that_comes_up_later_is_used_as_soon_as_it_answers(
    deployment: Deployment, stopped_cluster: PostgresCluster
) -> None:
    with deployment.start("migrate") as process:
        waiting = process.wait_for("postgres.waiting", attempt=1)
        assert "Connect call failed" in waiting["cause"]
        assert not process.of("postgres.answered")
        anyio.run(stopped_cluster.start)
        answered = process.wait_for("postgres.answered")
        process.expect_exit(0)
    waits = process.of("postgres.waiting")
    assert [record["attempt"] for record in waits] == list(range(1, answered["attempt"]))


def test_a_server_that_never_comes_ends_with_status_8_in_time(deployment: Deployment) -> None:
    deployment.environ |= SOON | {"DB_PORT": str(free_port())}
    with deployment.start("migrate") as process:
        process.wait_for("boot.started")
        began = time.monotonic()
        process.expect_exit(8)
        took = time.monotonic() - began
    assert 1.0 < took < 10
    failure = process.failure
    assert failure["code"] == "postgres.unreachable"
    assert f"127.0.0.1:{deployment.environ['DB_PORT']}" in failure["message"]
    assert "within 1.5 s" in failure["message"]
    waits = process.of("postgres.waiting")
    assert [record["attempt"] for record in waits] == list(range(1, failure["attempts"]))
    assert all(record["cause"] and record["next_delay_s"] > 0 for record in waits)
    # The delays grow, and together with the attempts they fill the time.
    assert 1.0 < sum(record["next_delay_s"] for record in waits) <= 1.6


def test_a_name_that_does_not_resolve_is_retried(deployment: Deployment) -> None:
    deployment.environ |= SOON | {"DB_HOST": "nowhere.invalid"}
    process = deployment.migrate(status=8)
    assert "'nowhere.invalid' does not resolve" in process.of("postgres.waiting")[0]["cause"]
    assert "'nowhere.invalid' does not resolve" in process.failure["message"]


def test_a_server_that_accepts_and_says_nothing_is_retried(deployment: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deployment.environ |= SOON | {"DB_PORT": str(silent.getsockname()[1])}
        failure = deployment.migrate(status=8, timeout_s=10).failure
    assert "did not answer in time" in failure["message"]


def test_too_many_connections_are_waited_for(deployment: Deployment, own_cluster: PostgresCluster) -> None:
    name = deployment.environ["DB_DATABASE"]
    anyio.run(own_cluster.create_database, name)
    deployment.environ |= own_cluster.directus_env(name)
    with Session(own_cluster, name) as first:
        first.execute("ALTER SYSTEM SET max_connections = 5")
        first.execute("ALTER SYSTEM SET superuser_reserved_connections = 0")
        first.execute("ALTER SYSTEM SET max_wal_senders = 0")
    anyio.run(own_cluster.stop)
    anyio.run(own_cluster.start)
    with ExitStack() as others:
        first = others.enter_context(Session(own_cluster, name))
        assert first.value("SHOW max_connections") == "5"
        for _ in range(4):
            others.enter_context(Session(own_cluster, name))
        process = deployment.start("migrate")
        cause = process.wait_for("postgres.waiting", attempt=1)["cause"]
        assert "too many clients already" in cause
    process.expect_exit(0)


def test_a_server_that_is_still_starting_is_waited_for(deployment: Deployment, own_cluster: PostgresCluster) -> None:
    name = deployment.environ["DB_DATABASE"]
    anyio.run(own_cluster.create_database, name)
    deployment.environ |= own_cluster.directus_env(name)
    anyio.run(own_cluster.stop)
    # A recovery that waits for its archive: the server is up, and refuses with 57P03.
    gate = own_cluster.data / "gate"
    (own_cluster.data / "recovery.signal").touch()
    (own_cluster.data / "postgresql.auto.conf").write_text(
        f"restore_command = 'while test ! -e {gate}; do sleep 0.05; done; false'\n"
    )
    with start_blocking_portal() as portal:
        starting = portal.start_task_soon(own_cluster.start)
        try:
            with deployment.start("migrate") as process:
                eventually(
                    lambda: any(
                        "the database system is starting up" in record["cause"]
                        for record in process.of("postgres.waiting")
                    )
                )
                gate.touch()
                process.expect_exit(0)
        finally:
            gate.touch()
            starting.result(timeout=60)


@pytest.fixture(params=["password", "password and user", "database", "no password"])
def refusal(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[tuple[str, str]]:
    """A wrong setting, with what the message and the remedy are to say."""
    user = deployment.environ["DB_USER"]
    match request.param:
        case "password":
            deployment.environ["DB_PASSWORD"] = "not-the-password"
            yield f"wrong password for user '{user}'", "DB_PASSWORD"
        case "password and user":
            deployment.environ["DB_USER"] = "nobody_here"
            yield "user 'nobody_here'", "DB_USER"
        case "database":
            deployment.environ["DB_DATABASE"] = "no_such_database"
            yield "there is no database 'no_such_database'", "DB_DATABASE"
        case "no password":
            del deployment.environ["DB_PASSWORD"]
            yield "password", "DB_PASSWORD"


def test_what_time_cannot_mend_ends_with_status_78_at_once(deployment: Deployment, refusal: tuple[str, str]) -> None:
    message, variable = refusal
    process = deployment.migrate(status=78, timeout_s=10)
    assert process.failure["code"] == "postgres.refused"
    assert message in process.failure["message"]
    assert variable in process.failure["remedy"]
    assert not process.of("postgres.waiting")


def test_a_user_without_the_right_to_connect_is_told_so(deployment: Deployment, session: Session) -> None:
    name = deployment.environ["DB_DATABASE"]
    session.execute(f"CREATE ROLE stranger LOGIN PASSWORD 'stranger'; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    deployment.environ |= {"DB_USER": "stranger", "DB_PASSWORD": "stranger"}
    try:
        failure = deployment.migrate(status=78).failure
    finally:
        session.execute("DROP ROLE stranger")
    assert f'GRANT CONNECT ON DATABASE "{name}"' in failure["remedy"]


def test_a_user_that_the_server_does_not_let_in_is_told_so(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE ROLE not_for_people NOLOGIN PASSWORD 'guest'")
    deployment.environ |= {"DB_USER": "not_for_people", "DB_PASSWORD": "guest"}
    try:
        failure = deployment.migrate(status=78).failure
    finally:
        session.execute("DROP ROLE not_for_people")
    assert "user 'not_for_people' is not let in" in failure["message"]
    assert "DB_USER" in failure["remedy"]


def test_the_folder_of_a_socket_is_a_host(deployment: Deployment, cluster: PostgresCluster, session: Session) -> None:
    deployment.sql("pre-schema", "001_seen.sql", "CREATE TABLE seen AS SELECT inet_server_addr() IS NULL AS by_socket;")
    deployment.environ["DB_HOST"] = str(cluster.socket_folder)
    deployment.migrate()
    assert session.value("SELECT by_socket FROM seen")


def test_a_folder_without_a_socket_is_waited_for(deployment: Deployment) -> None:
    deployment.environ |= SOON | {"DB_HOST": str(deployment.folder)}
    process = deployment.migrate(status=8)
    assert f"there is no socket of Postgres in {deployment.folder}" in process.of("postgres.waiting")[0]["cause"]


def test_a_server_without_tls_is_not_spoken_to_in_plain_text(deployment: Deployment) -> None:
    deployment.environ["DB_SSL"] = "true"
    process = deployment.migrate(status=78)
    assert "TLS" in process.failure["message"]
    assert "DB_SSL" in process.failure["remedy"]
    assert not process.of("postgres.waiting")
