"""Everything that the benchmarks need, set up and taken down: PostgreSQL, Directus, pm2, a migrated database."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio

from benchmarks.deployment import Deployment, Tools, make_deployment
from benchmarks.pm2 import ensure_pm2
from benchmarks.release import install_release
from benchmarks.watched import MeasurementError
from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus
from supervisor.dev.node import find_node
from supervisor.dev.postgres import PostgresCluster
from supervisor.dev.postgres_binaries import find_postgres
from supervisor.dev.progress import PlainProgress

_TEMPLATE: Final = "migrated"


class Parts:
    """A running cluster with a migrated database to copy; made by :func:`set_up_parts`."""

    def __init__(self, cluster: PostgresCluster, tools: Tools, folder: Path) -> None:
        self._cluster = cluster
        self._tools = tools
        self._folder = folder
        self._numbers = itertools.count(1)

    def fresh(self) -> Deployment:
        """A deployment on an empty database."""
        return self._deployment(None)

    def warm(self) -> Deployment:
        """A deployment on a database that is up to date."""
        return self._deployment(_TEMPLATE)

    def make_template(self) -> None:
        """Migrate the database that :meth:`warm` copies."""
        anyio.run(self._cluster.create_database, _TEMPLATE)
        folder = self._folder / _TEMPLATE
        folder.mkdir()
        command = make_deployment(folder, self._tools, self._cluster.directus_env(_TEMPLATE)).ours("migrate")
        result = subprocess.run(  # noqa: S603 - the program under measurement
            command.argv, env=dict(command.environ), cwd=command.cwd, capture_output=True, check=False
        )
        if result.returncode != 0:
            raise MeasurementError("the migration failed:\n" + result.stdout.decode("utf-8", "replace")[-4000:])

    def _deployment(self, template: str | None) -> Deployment:
        name = f"benchmark_{next(self._numbers)}"
        anyio.run(self._create, name, template)
        folder = self._folder / name
        folder.mkdir()
        return make_deployment(folder, self._tools, self._cluster.directus_env(name))

    async def _create(self, name: str, template: str | None) -> None:
        connection = await self._cluster.connect()
        try:
            await connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        finally:
            await connection.close()


@contextmanager
def set_up_parts(program: Path | None) -> Iterator[Parts]:
    """Set everything up, installing into the cache what is not there yet; take it down at the end of the block.

    Args:
        program: the command ``directus-supervisor`` to measure; None installs this tree as an image has it.

    Raises:
        SupervisorError: ``dev.setup_failed``.
        MeasurementError: the deployment cannot be migrated.
        subprocess.CalledProcessError: this tree cannot be installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="directus-benchmark-"))
    try:
        yield from _parts_in(folder, program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parts_in(folder: Path, program: Path | None) -> Iterator[Parts]:
    toolchain = find_node()
    tools = Tools(
        node=toolchain.node,
        directus=anyio.run(ensure_directus, DIRECTUS_VERSION, PlainProgress()),
        pm2_runtime=anyio.run(ensure_pm2, toolchain),
        postgres=find_postgres().folder,
        supervisor=(program or install_release(folder)).absolute(),
    )
    cluster = PostgresCluster(durable=False)
    try:
        anyio.run(cluster.start)
        parts = Parts(cluster, tools, folder)
        with PlainProgress().step("migrating the database to copy"):
            parts.make_template()
        yield parts
    finally:
        anyio.run(cluster.remove)
