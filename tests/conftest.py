"""Fixtures: the real parts (PostgreSQL, Node.js, Directus), each made once a session and only when a test asks."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import hypothesis
import pytest

from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus
from supervisor.dev.node import find_node
from supervisor.dev.postgres import PostgresCluster
from supervisor.dev.progress import PlainProgress
from tests.database import Session
from tests.harness import Deployment, Supervised

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

PROJECT = Path(__file__).parents[1]

# A busy machine is no bug: how long an example takes is the benchmarks' business.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="count a skipped test as a failure")


def pytest_configure() -> None:
    # A shell gives background jobs ignored interrupts, nohup an ignored hangup. Every child would inherit that, while
    # a handler, though it does nothing, is not inherited.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--fail-on-skip"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def node_binary() -> Path:
    """The real Node.js binary."""
    return find_node().node


@pytest.fixture(scope="session")
def directus_dir() -> Path:
    """A folder with the real Directus; installed into the cache when it is not there yet, which takes minutes."""

    async def install() -> Path:
        return await ensure_directus(DIRECTUS_VERSION, PlainProgress())

    return anyio.run(install)


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """A running PostgreSQL cluster of this session."""
    server = PostgresCluster(durable=False)
    anyio.run(server.start)
    yield server
    anyio.run(server.remove)


@pytest.fixture
def own_cluster() -> Iterator[PostgresCluster]:
    """A running cluster that the test may kill."""
    server = PostgresCluster(durable=False)
    anyio.run(server.start)
    yield server
    anyio.run(server.remove)


@pytest.fixture
def database(cluster: PostgresCluster) -> Iterator[str]:
    """Name of an empty database, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    anyio.run(cluster.create_database, name)
    yield name
    anyio.run(cluster.drop_database, name)


@pytest.fixture
def session(cluster: PostgresCluster, database: str) -> Iterator[Session]:
    """A superuser's session on the database of the test."""
    with Session(cluster, database) as session:
        yield session


@pytest.fixture
def deployment(cluster: PostgresCluster, database: str, tmp_path: Path, node_binary: Path) -> Deployment:
    """An empty deployment on an empty database, with a stand-in for Directus: no SQL, no snapshot."""
    return Deployment.with_stand_in(tmp_path, cluster.directus_env(database), node_binary)


@pytest.fixture
def rally(cluster: PostgresCluster, database: str, tmp_path: Path, directus_dir: Path, node_binary: Path) -> Deployment:
    """The rally deployment on an empty database, with the real Directus."""
    return Deployment.rally(PROJECT, tmp_path, cluster.directus_env(database), directus_dir, node_binary)


@pytest.fixture(scope="session")
def bootstrapped_template(
    cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory, directus_dir: Path, node_binary: Path
) -> str:
    """Name of a database on which the real Directus was bootstrapped once; to be copied, never to be used."""
    name = "template_bootstrapped"
    anyio.run(cluster.create_database, name)
    folder = tmp_path_factory.mktemp("bootstrapped")
    deployment = Deployment.rally(PROJECT, folder, cluster.directus_env(name), directus_dir, node_binary)
    deployment.without_schema().migrate()
    return name


@pytest.fixture(scope="session")
def migrated_template(
    cluster: PostgresCluster,
    bootstrapped_template: str,
    tmp_path_factory: pytest.TempPathFactory,
    directus_dir: Path,
    node_binary: Path,
) -> str:
    """Name of a database on which the rally deployment was migrated once; to be copied, never to be used."""
    name = "template_rally"
    anyio.run(_copy_database, cluster, bootstrapped_template, name)
    folder = tmp_path_factory.mktemp("template")
    deployment = Deployment.rally(PROJECT, folder, cluster.directus_env(name), directus_dir, node_binary)
    deployment.migrate()
    return name


async def _copy_database(cluster: PostgresCluster, template: str, name: str) -> None:
    await cluster.drop_database(name)
    connection = await cluster.connect()
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    finally:
        await connection.close()


@pytest.fixture
def bootstrapped_rally(
    cluster: PostgresCluster,
    bootstrapped_template: str,
    database: str,
    tmp_path: Path,
    directus_dir: Path,
    node_binary: Path,
) -> Deployment:
    """The rally deployment on a database that the real Directus has bootstrapped, without any schema."""
    anyio.run(_copy_database, cluster, bootstrapped_template, database)
    return Deployment.rally(PROJECT, tmp_path, cluster.directus_env(database), directus_dir, node_binary)


@pytest.fixture
def migrated_rally(
    cluster: PostgresCluster,
    migrated_template: str,
    database: str,
    tmp_path: Path,
    directus_dir: Path,
    node_binary: Path,
) -> Deployment:
    """The rally deployment on a database that has been migrated before, with the real Directus."""
    anyio.run(_copy_database, cluster, migrated_template, database)
    return Deployment.rally(PROJECT, tmp_path, cluster.directus_env(database), directus_dir, node_binary)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Every process that a test has started is ended, whatever became of the test."""
    yield
    Supervised.end_all()
