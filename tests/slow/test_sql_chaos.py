"""Chaos in the SQL files: the supervisor, its backend or the whole server killed at random moments.

Whatever was killed, and as often as it was: the next undisturbed run converges, nothing is half applied, and nothing is
applied twice. ``CHAOS_SEED`` repeats a run, ``SQL_CHAOS_ROUNDS`` makes it longer.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment, Supervised

ROUNDS = int(os.environ.get("SQL_CHAOS_ROUNDS", "200"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)

PRE, POST = 8, 4
NAMES = [f"{number:03d}_step.sql" for number in range(1, PRE + POST + 1)]
INDEX = "020_index.sql"
STEP = """\
INSERT INTO ledger (file, half) VALUES ('{name}', 'first');
CREATE TABLE "{name}" (id int PRIMARY KEY);
SELECT pg_sleep(0.02);
INSERT INTO ledger (file, half) VALUES ('{name}', 'second');
"""
CONCURRENT = """\
-- supervisor: no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS ledger_file ON ledger (file);
"""
BACKENDS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'directus-supervisor' AND datname = current_database()"""
# What the failure of a disturbed run may be called; anything else would be a wrong account.
ACCOUNTS = {"postgres.connection_lost", "postgres.unreachable", "directus.bootstrap_failed"}


class Chaos:
    """A deployment on a cluster of its own, and the blows that can fall on a run."""

    def __init__(self, deployment: Deployment, cluster: PostgresCluster) -> None:
        self.deployment, self.cluster = deployment, cluster
        self.name = deployment.environ["DB_DATABASE"]
        self.blows = {
            "supervisor": self._kill_supervisor,
            "backend": self._end_backend,
            "server": self._kill_server,
        }

    def start_afresh(self) -> None:
        """An empty database of this name."""
        anyio.run(self.cluster.drop_database, self.name)
        anyio.run(self.cluster.create_database, self.name)
        self.deployment.environ |= self.cluster.directus_env(self.name)
        with Session(self.cluster, self.name) as session:
            # The clusters of the tests may lose their last commits at a crash, which is not what is tested here.
            session.execute(f"ALTER DATABASE {self.name} SET synchronous_commit = on")
            session.execute("CREATE TABLE ledger (id serial, file text, half text)")

    def strike(self, blow: str, after_s: float) -> str:
        """Start a migration, let the blow fall so long after its start, and see how it ended."""
        with self.deployment.start("migrate") as process:
            process.wait_for("boot.started")
            time.sleep(after_s)
            self.blows[blow](process)
            process.process.wait(60)
            process.expect_exit(process.process.returncode)
        return _account(process)

    def _kill_supervisor(self, process: Supervised) -> None:
        process.signal(signal.SIGKILL)

    def _end_backend(self, _process: Supervised) -> None:
        with Session(self.cluster, self.name) as session:
            session.execute(BACKENDS)

    def _kill_server(self, _process: Supervised) -> None:
        anyio.run(self.cluster.kill_immediately)
        anyio.run(self.cluster.start)
        self.deployment.environ |= self.cluster.directus_env(self.name)

    def expect_everything_once(self) -> None:
        """Run undisturbed, and compare ledger, tables, guard table and index with what the files say."""
        self.deployment.migrate()
        with Session(self.cluster, self.name) as session:
            entries = session.column("SELECT file || ' ' || half FROM ledger ORDER BY id")
            assert entries == [f"{name} {half}" for name in NAMES for half in ("first", "second")]
            assert session.applied == [*NAMES, INDEX]
            assert all(session.has(f'"{name}"') for name in NAMES)
            assert session.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ledger_file'::regclass")


def _account(process: Supervised) -> str:
    status = process.process.returncode
    if status in {0, -signal.SIGKILL}:
        return "finished" if status == 0 else "killed"
    code = str(process.failure["code"])
    assert code in ACCOUNTS, process.text[-6000:]
    return code


@pytest.fixture
def chaos(deployment: Deployment, own_cluster: PostgresCluster) -> Chaos:
    for index, name in enumerate(NAMES):
        deployment.sql("pre-schema" if index < PRE else "post-schema", name, STEP.format(name=name))
    deployment.sql("post-schema", INDEX, CONCURRENT)
    # A server that was killed comes back on another port.
    deployment.environ["SUPERVISOR_POSTGRES_TIMEOUT_S"] = "10"
    return Chaos(deployment, own_cluster)


@pytest.mark.postgres
def test_whatever_is_killed_the_next_run_applies_each_file_once_and_whole(chaos: Chaos) -> None:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201 - pytest shows it beside a failure
    chance = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    while outcomes.total() < ROUNDS:
        chaos.start_afresh()
        for _ in range(chance.randrange(1, 4)):
            blow = chance.choice(list(chaos.blows))
            outcomes[f"{blow}: {chaos.strike(blow, chance.random() * 0.9)}"] += 1
        chaos.expect_everything_once()
    print(dict(outcomes))  # noqa: T201
    # A blow that always comes too late would prove nothing.
    assert {"supervisor: killed", "backend: postgres.connection_lost", "server: postgres.connection_lost"} <= set(
        outcomes
    )
