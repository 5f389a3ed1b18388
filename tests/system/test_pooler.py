"""Migrations beside a pooler: the real PgBouncer, in each of its modes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.lock import LOCK_KEY
from tests.command import run_command
from tests.database import Session
from tests.harness import Deployment, Supervised
from tests.pooler import pooler

HELD = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK_KEY & 0xFFFFFFFF}"


@contextmanager
def behind(deployment: Deployment, cluster: PostgresCluster, mode: str, **settings: object) -> Iterator[None]:
    """The deployment, led to the database through a pooler."""
    with pooler(cluster, mode, **settings) as way:
        deployment.environ |= way
        yield


def lead_around(deployment: Deployment, cluster: PostgresCluster) -> None:
    deployment.environ |= {
        "SUPERVISOR_MIGRATION_DB_HOST": cluster.host,
        "SUPERVISOR_MIGRATION_DB_PORT": str(cluster.port),
    }


def failed(deployment: Deployment) -> Supervised:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    return deployment.migrate(status=78, timeout_s=30)


@pytest.mark.parametrize(
    "settings",
    [{}, {"server_round_robin": 1, "min_pool_size": 3}, {"default_pool_size": 1}],
    ids=["last used first", "in turn", "one session"],
)
def test_a_pooler_in_transaction_mode_is_refused_before_anything_runs(
    deployment: Deployment, cluster: PostgresCluster, session: Session, settings: dict[str, object]
) -> None:
    with behind(deployment, cluster, "transaction", **settings):
        failure = failed(deployment).failure
        assert failure["code"] == "lock.pooler"
        assert deployment.environ["DB_PORT"] in failure["message"]
        assert "SUPERVISOR_MIGRATION_DB_HOST" in failure["remedy"]
        # The server sessions of the pool live on: the lock must not, or no supervisor could ever migrate again.
        assert session.value(HELD) == 0
    assert not session.has("t")


def test_a_pooler_in_statement_mode_is_refused(
    deployment: Deployment, cluster: PostgresCluster, session: Session
) -> None:
    with behind(deployment, cluster, "statement"):
        assert failed(deployment).failure["code"] == "lock.pooler"
    assert not session.has("t")


def test_a_pool_of_sessions_holds_the_lock_like_the_server(
    deployment: Deployment, cluster: PostgresCluster, database: str
) -> None:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    with behind(deployment, cluster, "session"), Session(cluster, database) as holder:
        holder.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
        with deployment.start("migrate") as process:
            waiting = process.wait_for("lock.waiting")
            assert f"backend pid {holder.pid}" in waiting["holder"]
            holder.execute("SELECT pg_advisory_unlock_all()")
            process.expect_exit(0)
        assert holder.has("t")
        assert holder.value(HELD) == 0


def test_a_pool_of_a_single_session_is_no_pooler_in_transaction_mode(
    deployment: Deployment, cluster: PostgresCluster, session: Session
) -> None:
    # The second client, by which one would be known, waits in vain for a session.
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    with behind(deployment, cluster, "session", default_pool_size=1):
        assert run_command(deployment, "baseline", "--yes").status == 0
    assert session.applied == ["001_first.sql"]


def test_migrations_go_around_the_pooler_and_directus_stays_on_it(
    deployment: Deployment, cluster: PostgresCluster, session: Session
) -> None:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    with behind(deployment, cluster, "transaction"):
        lead_around(deployment, cluster)
        deployment.environ["STAND_IN_TELLS_DATABASE"] = "1"
        with deployment.start("run", "--once") as process:
            process.expect_exit(0)
        pooled, direct = deployment.environ["DB_PORT"], str(cluster.port)
        assert process.wait_for("process.output", process="bootstrap", message=f"database port {direct}")
        assert process.wait_for("process.output", process="directus", message=f"database port {pooled}")
    assert session.has("t")


def test_a_boot_that_changes_nothing_goes_through_any_pooler(deployment: Deployment, cluster: PostgresCluster) -> None:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    deployment.migrate()
    with behind(deployment, cluster, "transaction"):
        assert not deployment.migrate().of("lock.acquired")


def test_a_parameter_that_the_pooler_does_not_know_names_the_way_around_it(
    deployment: Deployment, cluster: PostgresCluster
) -> None:
    deployment.environ["DB_SEARCH_PATH"] = "public"
    with behind(deployment, cluster, "session"):
        failure = failed(deployment).failure
    assert failure["code"] == "postgres.refused"
    assert "search_path" in failure["message"]
    assert "SUPERVISOR_MIGRATION_DB_HOST" in failure["remedy"]
