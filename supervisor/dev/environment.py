"""A project's development environment: a database, a Directus, a login, and the variables for them."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from supervisor.dev import lock
from supervisor.dev.account import server_account
from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus
from supervisor.dev.failures import explained, setup_failed
from supervisor.dev.login import load_login
from supervisor.dev.node import find_node
from supervisor.dev.paths import claim_data_folder, make_folder, project_data_folder, wipe_data_folder
from supervisor.dev.ports import free_port
from supervisor.dev.postgres import PostgresCluster
from supervisor.directus.environment import DirectusEnvironment, read_environment
from supervisor.settings import LoadedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from supervisor.dev.progress import Progress

DATABASE = "directus"
_HOST = "127.0.0.1"
_PORT = 8055
_HEALTH_PORT = 8056
_LOCK_FILE = "dev.lock"
_VARIABLE = "XDG_DATA_HOME"

# Any of these says that the user has a server of his own; DB_DATABASE alone only names a database.
_SERVER_VARIABLES = ("DB_CLIENT", "DB_CONNECTION_STRING", "DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD")


@dataclass(frozen=True, slots=True)
class DevEnvironment:
    """What a supervisor needs to boot the project here.

    Attributes:
        environ: the user's environment, completed.
        url: where Directus will listen.
        health_url: where the supervisor's health port will listen.
        admin_email: the administrator's address.
        admin_password: his password; None when the user has set it himself.
        directus_dir: the folder that holds Directus.
        data_folder: what is kept between runs.
        cluster: our own server; None when the user's database is used.
        database: the database in one line, without its password.
    """

    environ: dict[str, str]
    url: str
    health_url: str
    admin_email: str
    admin_password: str | None
    directus_dir: Path
    data_folder: Path
    cluster: PostgresCluster | None
    database: str


@asynccontextmanager
async def provision(
    project_dir: Path, *, fresh: bool, progress: Progress, environ: Mapping[str, str] | None = None
) -> AsyncIterator[DevEnvironment]:
    """Set up everything that a project needs, and take the server down again at the end.

    What the user has set himself, in the environment, ``supervisor.yaml`` or the file at ``CONFIG_PATH``,
    stays as it is; with a database server of his own none is started.

    Args:
        project_dir: the folder that holds ``sql/`` and ``snapshots/``.
        fresh: remove what earlier runs of this project have kept, before anything is started.
        progress: the display.
        environ: the user's environment; the process's own when not given.

    Yields:
        The environment, for as long as the block lasts.

    Raises:
        SupervisorError: ``dev.setup_failed`` naming the step; ``config.invalid`` from the user's settings.
    """
    given = dict(os.environ if environ is None else environ)
    project = project_dir.resolve()
    if not project.is_dir():
        raise setup_failed("project", f"{project} is not a folder", remedy="Start the command in the project.")
    folder = project_data_folder(project, given)
    settings = load_settings(given, project)
    async with AsyncExitStack() as stack:
        # The server's account has to pass through, so others may enter, but not list.
        claim_data_folder(folder, mode=0o700 if server_account() is None else 0o711)
        _lock_project(stack, folder, project)
        cluster = PostgresCluster(folder / "postgres")
        if fresh:
            await _start_over(folder, cluster, progress)
        user = read_environment(given, settings.settings.directus_dir or project)
        own_server = any(_is_set(user, name) for name in _SERVER_VARIABLES)
        if not own_server:
            await _start_cluster(stack, cluster, user.text("DB_DATABASE") or DATABASE, progress)
        directus_dir = settings.settings.directus_dir
        if directus_dir is None:
            directus_dir = await ensure_directus(DIRECTUS_VERSION, progress, environ=given)
        inputs = _Inputs(project, folder, given, user, settings)
        yield await anyio.to_thread.run_sync(_describe, inputs, directus_dir, None if own_server else cluster)


@dataclass(frozen=True, slots=True)
class _Inputs:
    project: Path
    folder: Path
    given: Mapping[str, str]
    user: DirectusEnvironment
    settings: LoadedSettings


def _describe(inputs: _Inputs, directus_dir: Path, cluster: PostgresCluster | None) -> DevEnvironment:
    user, settings, folder = inputs.user, inputs.settings, inputs.folder
    login = load_login(folder / "login.json")
    host = _given_text(user, "HOST") or _HOST
    port = _given_text(user, "PORT") or str(free_port(_HOST, _PORT))
    health_port = settings.settings.health_port
    if settings.sources["health_port"] == "default":
        health_port = free_port(_HOST, _HEALTH_PORT)
    directus = {
        "HOST": host,
        "PORT": port,
        "PUBLIC_URL": f"http://{_reachable(host)}:{port}",
        "SECRET": login.secret,
        "ADMIN_EMAIL": login.email,
        "ADMIN_PASSWORD": login.password,
        "TELEMETRY": "false",
        "EXTENSIONS_PATH": str(make_folder(folder / "extensions", variable=_VARIABLE)),
        "STORAGE_LOCAL_ROOT": str(make_folder(folder / "uploads", variable=_VARIABLE)),
        "TEMP_PATH": str(make_folder(folder / "temporary", variable=_VARIABLE)),
    }
    if cluster is not None:
        directus |= cluster.directus_env(_given_text(user, "DB_DATABASE") or DATABASE)
    own = {
        "directus_dir": str(directus_dir),
        "node": str(find_node().node) if settings.settings.node is None else str(settings.settings.node),
        "sql_dir": str(inputs.project / "sql"),
        "snapshot": str(inputs.project / "snapshots" / "schema.yaml"),
        "optional_extensions": "timescaledb",
        # One at a time on this machine: who changes the branch wants its schema.
        "allow_downgrade": "always",
        "health_host": _HOST,
        "health_port": str(health_port),
    }
    environ = dict(inputs.given)
    environ |= {name: value for name, value in directus.items() if not _is_set(user, name)}
    environ |= {
        f"SUPERVISOR_{name.upper()}": value for name, value in own.items() if settings.sources[name] == "default"
    }
    health_host = settings.settings.health_host if settings.sources["health_host"] != "default" else _HOST
    return DevEnvironment(
        environ=environ,
        url=f"http://{_reachable(host)}:{port}",
        health_url=f"http://{_reachable(health_host)}:{health_port}",
        admin_email=_given_text(user, "ADMIN_EMAIL") or login.email,
        admin_password=None if _is_set(user, "ADMIN_PASSWORD") else login.password,
        directus_dir=directus_dir,
        data_folder=folder,
        cluster=cluster,
        database=_database_line(user, cluster),
    )


async def _start_cluster(stack: AsyncExitStack, cluster: PostgresCluster, database: str, progress: Progress) -> None:
    with progress.step("PostgreSQL") as step:
        await stack.enter_async_context(cluster)
        await cluster.create_database(database, exist_ok=True)
        step.say(f"version {cluster.version} on {cluster.host}:{cluster.port}")


async def _start_over(folder: Path, cluster: PostgresCluster, progress: Progress) -> None:
    with progress.step("removing the data of earlier runs"):
        await cluster.stop()
        # The lock file stays: another process may be waiting with it open.
        await anyio.to_thread.run_sync(lambda: wipe_data_folder(folder, keep=frozenset({_LOCK_FILE})))


def _lock_project(stack: AsyncExitStack, folder: Path, project: Path) -> None:
    with explained(f"data folder {folder}", _VARIABLE):
        try:
            stack.enter_context(lock.hold(folder / _LOCK_FILE))
        except lock.HeldByAnotherProcessError as held:
            who = f"process {held.pid}" if held.pid else "another process"
            raise setup_failed(
                "project",
                f"{who} already runs the development environment of {project}",
                remedy="Use that one, or end it with Ctrl-C or `kill` first.",
                pid=held.pid,
            ) from None


def _is_set(user: DirectusEnvironment, name: str) -> bool:
    return user.source(name) not in ("default", "not set") and bool(user.text(name))


def _given_text(user: DirectusEnvironment, name: str) -> str | None:
    return user.text(name) if _is_set(user, name) else None


def _reachable(host: str) -> str:
    # A wildcard address can be listened on, but not be opened in a browser everywhere.
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return _HOST
    return f"[{host}]" if ":" in host else host


def _database_line(user: DirectusEnvironment, cluster: PostgresCluster | None) -> str:
    if cluster is not None:
        return f"PostgreSQL {cluster.version} on {cluster.host}:{cluster.port}, kept in {cluster.folder}"
    if _is_set(user, "DB_CONNECTION_STRING"):
        return "yours, as DB_CONNECTION_STRING says"
    return f"yours, on {user.text('DB_HOST') or 'the default host'}:{user.text('DB_PORT') or 5432}"
