"""Fixtures of the image: the base, the image built on it, containers, and what was measured."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.conftest import PROJECT
from tests.harness import free_port
from tests.image.podman import Container, Podman
from tests.image.registries import build_secrets
from tests.image.stand_in import ensure_stand_in

# Builds on this image in place of the stand-in: the official one, where its registry can be reached.
_BASE_VARIABLE = "BASE_IMAGE"
_MEASURED: dict[str, str] = {}

Build = Callable[..., str]
Start = Callable[..., Container]


@pytest.fixture(scope="session")
def podman() -> Podman:
    """Podman, where it can run containers."""
    for program, package in (("podman", "podman"), ("debootstrap", "debootstrap")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; on Debian: apt-get install {package}")
    if os.getuid() != 0:
        pytest.skip("debootstrap and containers on the machine's network need root")
    return Podman()


@pytest.fixture(scope="session")
def base(podman: Podman) -> str:
    """The image that ours is built on."""
    chosen = os.environ.get(_BASE_VARIABLE)
    if chosen:
        if not podman.has_image(chosen):
            podman.run("pull", "--quiet", chosen)
        return chosen
    return ensure_stand_in(podman)


@pytest.fixture(scope="session")
def build(podman: Podman, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Builds docker/Dockerfile of a checkout with build arguments; the name of the result."""
    names: list[str] = []
    secrets = build_secrets(tmp_path_factory.mktemp("secrets"))

    def build(context: Path = PROJECT, target: str | None = None, **arguments: str) -> str:
        name = f"localhost/directus-supervisor:test-{uuid.uuid4().hex[:12]}"
        given = {"BASE_IMAGE": base, **arguments}
        options = [*secrets, *(f"--build-arg={key}={value}" for key, value in given.items())]
        podman.build(context, name, *options, *([f"--target={target}"] if target else []))
        names.append(name)
        return name

    yield build
    for name in names:
        # This name alone goes: another run may have the same image under its own, and the layers serve the next build.
        podman.attempt("untag", name, name)
    podman.attempt("image", "prune", "--force", "--filter", "until=72h")


@pytest.fixture(scope="session")
def image(build: Build) -> str:
    """The image of this checkout."""
    return build(VERSION="1.2.3", REVISION="0123abc")


@pytest.fixture
def start(podman: Podman, image: str) -> Iterator[Start]:
    """Starts containers of the image; they are removed after the test."""
    started: list[Container] = []

    def start(*arguments: str, environ: Mapping[str, str], options: Sequence[str] = ()) -> Container:
        container = podman.start(image, *arguments, environ=environ, options=options)
        started.append(container)
        return container

    yield start
    for container in started:
        container.end()


def deployment_environ(cluster: PostgresCluster, database: str) -> dict[str, str]:
    """The least that a container needs: the database and a secret; and ports of its own, as it shares the network."""
    return {
        **{name: value for name, value in cluster.directus_env(database).items() if name != "DB_CLIENT"},
        "SECRET": "a-secret-for-tests-of-at-least-32-characters",
        "SUPERVISOR_OPTIONAL_EXTENSIONS": "timescaledb",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "SUPERVISOR_HEALTH_PORT": str(free_port()),
    }


@pytest.fixture
def environ(cluster: PostgresCluster, database: str) -> dict[str, str]:
    """For a container on an empty database."""
    return deployment_environ(cluster, database)


@pytest.fixture(scope="session")
def migrated(podman: Podman, image: str, cluster: PostgresCluster) -> str:
    """Name of a database on which a container of the image was migrated once; to be copied, never to be used."""
    name = "template_image"
    anyio.run(cluster.create_database, name)
    with podman.start(image, "migrate", environ=deployment_environ(cluster, name)) as container:
        container.expect_exit(0, 180)
    return name


@pytest.fixture
def migrated_environ(cluster: PostgresCluster, migrated: str, database: str) -> dict[str, str]:
    """For a container on a database that has been migrated."""

    async def copy() -> None:
        await cluster.drop_database(database)
        connection = await cluster.connect()
        await connection.execute(f"CREATE DATABASE {database} TEMPLATE {migrated}")
        await connection.close()

    anyio.run(copy)
    return deployment_environ(cluster, database)


@pytest.fixture
def measured() -> Callable[[str, str], None]:
    """Takes a figure for the list at the end of the run."""

    def take(what: str, figure: str) -> None:
        _MEASURED[what] = figure

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was measured."""
    if _MEASURED:
        terminalreporter.section("measured")
        for what, figure in _MEASURED.items():
            terminalreporter.line(f"{what}: {figure}")
