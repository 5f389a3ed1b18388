"""Ten replicas on one database, each in a PID namespace: they start at once, roll, crash, and lose the server.

Every round ends with all of them ready, the schema that of the newest release, and each SQL file applied exactly once.
What is serving is a stand-in, since ten of Directus would not fit; in the last round the real one migrates.
``REPLICAS`` sets another number.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment, Supervised, children, eventually, free_port
from tests.releases import Release

REPLICAS = int(os.environ.get("REPLICAS", "10"))
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
LIMIT_S = 300.0
# What may end a boot on which the server was taken away; the platform starts the container again.
ACCOUNTS = {"postgres.connection_lost", "postgres.unreachable", "directus.bootstrap_failed", "schema.apply_failed"}
LEDGER = "CREATE TABLE ledger (id serial, file text); INSERT INTO ledger (file) VALUES ('001_ledger.sql');"
ENTRY = "INSERT INTO ledger (file) VALUES ('{name}'); SELECT pg_sleep(0.2);"
COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 1 AND NOT attisdropped"


@dataclass
class Replica:
    """One container: what it runs, and the process of its present life."""

    number: int
    deployment: Deployment
    process: Supervised
    lives: int = 1

    @property
    def is_ready(self) -> bool:
        return bool(self.process.of("process.ready"))

    @property
    def pid(self) -> int:
        """The supervisor's, as PID 1 of its namespace; 0 before there is one."""
        return (children(self.process.process.pid) or [0])[0]


class Fleet:
    """Replicas, and the platform that starts one again when it has ended in failure."""

    def __init__(self) -> None:
        self.replicas: dict[int, Replica] = {}
        self.logs: list[Supervised] = []

    def start(self, number: int, deployment: Deployment) -> Replica:
        """Start a container, in the place of the one that has this number."""
        sockets = {"PORT": str(free_port()), "SUPERVISOR_SOCKET": str(deployment.folder / f"{number}.sock")}
        own = replace(deployment, environ={**deployment.environ, **sockets})
        process = own.start("run", prefix=NAMESPACE)
        self.logs.append(process)
        lives = self.replicas[number].lives + 1 if number in self.replicas else 1
        self.replicas[number] = Replica(number, own, process, lives)
        return self.replicas[number]

    def start_all(self, deployment: Deployment) -> None:
        for number in range(REPLICAS):
            self.start(number, deployment)

    def kill(self, number: int) -> None:
        """As a node that dies."""
        replica = self.replicas[number]
        eventually(lambda: replica.pid > 0)
        os.kill(replica.pid, signal.SIGKILL)
        replica.process.process.wait(30)

    def stop(self, number: int) -> None:
        """As a platform does, and wait for the end."""
        replica = self.replicas[number]
        os.kill(replica.pid, signal.SIGTERM)
        replica.process.expect_exit(0)

    def settle(self) -> None:
        """Wait until all are ready; one that ended for a reason that time mends is started again."""
        deadline = time.monotonic() + LIMIT_S
        while waiting := [one for one in self.replicas.values() if not one.is_ready]:
            assert time.monotonic() < deadline, waiting[0].process.text[-4000:]
            for one in waiting:
                status = one.process.process.poll()
                if status is not None:
                    one.process.expect_exit(status)
                    if status != -signal.SIGKILL and status != 128 + signal.SIGKILL:
                        assert one.process.failure["code"] in ACCOUNTS, one.process.text[-4000:]
                    self.start(one.number, one.deployment)
            time.sleep(0.05)
        assert all(one.process.process.poll() is None for one in self.replicas.values())

    def wait_until(self, condition: Callable[[Replica], bool]) -> Replica:
        """The first replica of which something holds."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for one in self.replicas.values():
                if condition(one):
                    return one
            time.sleep(0.005)
        raise AssertionError("it never came to that")

    def applied(self) -> list[str]:
        """Every line that says that a file was applied, over all lives of all replicas."""
        return sorted(str(record["file"]) for log in self.logs for record in log.of("sql.applied"))

    def end(self) -> None:
        for replica in self.replicas.values():
            if replica.pid:
                os.kill(replica.pid, signal.SIGKILL)
        for log in list(self.logs):
            log.end()


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    yield fleet
    fleet.end()


@pytest.fixture
def steady() -> Iterator[PostgresCluster]:
    """A server of its own that comes back on the same port."""
    server = PostgresCluster(durable=False, port=free_port())
    anyio.run(server.start)
    anyio.run(server.create_database, "rolling")
    yield server
    anyio.run(server.remove)


@pytest.fixture
def old(steady: PostgresCluster, tmp_path: Path, node_binary: Path) -> Release:
    release = Release.make(tmp_path / "old", steady.directus_env("rolling"), node_binary, "11.0.0")
    release.environ |= {"SUPERVISOR_POSTGRES_TIMEOUT_S": "60", "STAND_IN_APPLY_S": "0.5"}
    release.sql("pre-schema", "001_ledger.sql", LEDGER)
    release.sql("post-schema", "001_entry.sql", ENTRY.format(name="001_entry.sql"))
    return release.schema(things="name")


@pytest.fixture
def new(old: Release, steady: PostgresCluster, tmp_path: Path, node_binary: Path) -> Release:
    release = Release.make(tmp_path / "new", steady.directus_env("rolling"), node_binary, "11.1.0")
    release.environ |= {name: old.environ[name] for name in ("SUPERVISOR_POSTGRES_TIMEOUT_S", "STAND_IN_APPLY_S")}
    for path in old.folder.glob("sql/*/*.sql"):
        release.sql(path.parent.name, path.name, path.read_text())
    release.sql("pre-schema", "002_more.sql", ENTRY.format(name="002_more.sql"))
    release.sql("post-schema", "002_last.sql", ENTRY.format(name="002_last.sql"))
    return release.schema(things="name colour", others="size")


def expect(steady: PostgresCluster, release: Release, columns: list[str]) -> None:
    """Each file of the release has left one entry, and the schema is that of its snapshot."""
    names = sorted(path.name for path in release.folder.glob("sql/*/*.sql"))
    with Session(steady, "rolling") as session:
        assert sorted(session.column("SELECT file FROM ledger")) == names
        assert sorted(session.applied) == names
        assert session.column(COLUMNS.format("things")) == columns


def tell(what: str, seconds: float, **more: Any) -> None:  # noqa: ANN401 - figures
    print(f"REPLICAS {REPLICAS}: {what}: {seconds:.1f} s", *(f"{name}={value}" for name, value in more.items()))  # noqa: T201


@pytest.mark.pidns
def test_ten_that_start_at_once_on_an_empty_database_are_all_ready(
    fleet: Fleet, old: Release, steady: PostgresCluster
) -> None:
    began = time.monotonic()
    fleet.start_all(old)
    fleet.settle()
    tell("fresh start, the slowest ready", time.monotonic() - began)
    expect(steady, old, ["name"])
    assert len(fleet.applied()) == len(set(fleet.applied())) == 2


@pytest.mark.pidns
def test_a_rolling_update_keeps_what_it_brings_while_an_old_one_crashes_and_comes_back(
    fleet: Fleet, old: Release, new: Release, steady: PostgresCluster
) -> None:
    fleet.start_all(old)
    fleet.settle()
    began, single = time.monotonic(), []
    for number in range(REPLICAS):
        if number == REPLICAS // 2:
            fleet.kill(REPLICAS - 1)
            returned = fleet.start(REPLICAS - 1, old)
            fleet.settle()
            assert returned.process.of("release.superseded")
            assert not returned.process.of("lock.acquired")
        started = time.monotonic()
        fleet.stop(number)
        fleet.start(number, new)
        fleet.settle()
        single.append(time.monotonic() - started)
        expect(steady, new, ["name", "colour"])
    tell(
        "rolling update", time.monotonic() - began, first=f"{single[0]:.1f}", median=f"{statistics.median(single):.1f}"
    )
    assert len(fleet.applied()) == len(set(fleet.applied())) == 4


@pytest.mark.pidns
@pytest.mark.parametrize("phase", ["wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema"])
def test_a_replica_that_is_killed_in_a_phase_is_made_up_for_by_the_others(
    fleet: Fleet, old: Release, new: Release, steady: PostgresCluster, phase: str
) -> None:
    began = time.monotonic()
    fleet.start_all(new)
    busy = fleet.wait_until(lambda one: bool(one.process.of("phase.started", phase=phase)))
    fleet.kill(busy.number)
    fleet.start(busy.number, new)
    fleet.settle()
    tell(f"fresh start, one killed in {phase}", time.monotonic() - began)
    expect(steady, new, ["name", "colour"])


@pytest.mark.pidns
@pytest.mark.parametrize("phase", ["pre_schema", "schema_apply", "post_schema"])
def test_a_new_one_that_is_killed_in_an_update_is_not_undone_by_an_old_one(
    fleet: Fleet, old: Release, new: Release, steady: PostgresCluster, phase: str
) -> None:
    fleet.start_all(old)
    fleet.settle()
    fleet.stop(0)
    first = fleet.start(0, new)
    fleet.wait_until(lambda one: one is first and bool(one.process.of("phase.started", phase=phase)))
    fleet.kill(0)
    fleet.kill(1)
    returned = fleet.start(1, old)
    eventually(lambda: returned.is_ready)
    assert returned.process.of("release.superseded")
    began = time.monotonic()
    for number in range(REPLICAS):
        if number:
            fleet.stop(number)
        fleet.start(number, new)
    fleet.settle()
    tell(
        f"update, the first new one killed in {phase}, an old one back, then the rest at once", time.monotonic() - began
    )
    expect(steady, new, ["name", "colour"])


@pytest.mark.pidns
@pytest.mark.parametrize("phase", ["pre_schema", "schema_apply", "post_schema"])
def test_a_server_that_crashes_in_an_update_is_waited_for(
    fleet: Fleet, old: Release, new: Release, steady: PostgresCluster, phase: str
) -> None:
    with Session(steady, "rolling") as session:
        # The clusters of the tests may lose their last commits at a crash, which is not what is tested here.
        session.execute("ALTER DATABASE rolling SET synchronous_commit = on")
    fleet.start_all(old)
    fleet.settle()
    half = REPLICAS // 2
    for number in range(half):
        fleet.stop(number)
    for number in range(half):
        fleet.start(number, new)
    fleet.wait_until(lambda one: one.number < half and bool(one.process.of("phase.started", phase=phase)))
    anyio.run(steady.kill_immediately)
    began = time.monotonic()
    anyio.run(steady.start)
    fleet.settle()
    tell(f"update, the server killed in {phase}, from its return", time.monotonic() - began)
    for number in range(half, REPLICAS):
        fleet.stop(number)
        fleet.start(number, new)
    fleet.settle()
    expect(steady, new, ["name", "colour"])


@pytest.mark.pidns
@pytest.mark.directus
def test_ten_whose_migrations_the_real_directus_does(
    fleet: Fleet, rally: Deployment, cluster: PostgresCluster, database: str, tmp_path: Path
) -> None:
    ready = tmp_path / "ready.sh"
    ready.write_text("#!/bin/sh\nprintf '\"ready\"\\n' >&$NODE_CHANNEL_FD\nexec sleep 86400\n")
    ready.chmod(0o755)
    rally.environ |= {"SUPERVISOR_COMMAND": str(ready), "SUPERVISOR_STEP_TIMEOUT_S": "300"}
    whole = rally.snapshot.read_text()
    document = yaml.safe_load(whole)
    document["fields"] = [one for one in document["fields"] if one["field"] != "plate"]
    rally.snapshot.write_text(yaml.safe_dump(document, sort_keys=False))

    began = time.monotonic()
    fleet.start_all(rally)
    fleet.settle()
    tell("real Directus, fresh start, the slowest ready", time.monotonic() - began)
    newer = tmp_path / "newer"
    newer.mkdir()
    update = replace(rally, folder=newer, environ={**rally.environ, "SUPERVISOR_SNAPSHOT": str(newer / "schema.yaml")})
    (newer / "schema.yaml").write_text(whole)
    began = time.monotonic()
    for number in range(REPLICAS):
        fleet.stop(number)
        fleet.start(number, update)
        fleet.settle()
        if number == REPLICAS // 2:
            fleet.kill(REPLICAS - 1)
            returned = fleet.start(REPLICAS - 1, rally)
            fleet.settle()
            assert returned.process.of("release.superseded")
    tell("real Directus, rolling update", time.monotonic() - began)
    with Session(cluster, database) as session:
        assert "plate" in session.column(COLUMNS.format("vehicles"))
    assert len(fleet.applied()) == len(set(fleet.applied()))
