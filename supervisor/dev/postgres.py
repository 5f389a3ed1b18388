"""A PostgreSQL cluster of our own: made, started, stopped and killed without a system service."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from supervisor.dev.account import server_account
from supervisor.dev.failures import read_tail, setup_failed
from supervisor.dev.ports import free_port
from supervisor.dev.postgres_binaries import PostgresBinaries, find_postgres, reachable_for
from supervisor.dev.postgres_folder import ClusterFolder
from supervisor.dev.postgres_programs import PostgresPrograms
from supervisor.dev.postmaster import Shutdown, end_server, forget_dead_server, running_pid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import asyncpg

HOST = "127.0.0.1"
USER = "directus"

_START_TIMEOUT_S = 60
_PORT_ATTEMPTS = 5
_CLOSE_TIMEOUT_S = 5
_STOP = ((Shutdown.FAST, 15.0), (Shutdown.IMMEDIATE, 7.0), (Shutdown.KILL, 5.0))
_CRASH = _STOP[1:]

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_permissions": "0777",  # the folder around it is closed, and a password is asked for
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# A throwaway cluster may lose everything at a power cut, and there may be many of them at a time.
_THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
}


class PostgresCluster:
    """One data folder and the server that runs on it, on 127.0.0.1 and on a unix socket.

    The server lives in a session of its own: a Ctrl-C in the terminal does not reach it. When this process is
    killed the server stays; the next :meth:`start` on the same folder ends it first. Used as an asynchronous
    context manager, it is started at the beginning and stopped at the end of the block.

    Args:
        folder: everything that the cluster keeps is below it; None takes a temporary one, deleted by
            :meth:`remove` and at the end of the block.
        binaries: the programs; when not given, those of :func:`find_postgres` that suit the data.
        port: the TCP port; when not given a free one, which stays the same over restarts where it can.
        durable: False trades the safety of the data at a power cut for speed.

    Attributes:
        host: the address that the server listens on.
        user: the name of its superuser.
        socket_folder: the folder of the unix socket, usable as ``DB_HOST``; None while the server is stopped.
    """

    host = HOST
    user = USER

    def __init__(
        self,
        folder: Path | None = None,
        *,
        binaries: PostgresBinaries | None = None,
        port: int | None = None,
        durable: bool = True,
    ) -> None:
        self._temporary = folder is None
        root = Path(tempfile.mkdtemp(prefix="directus-cluster-")) if folder is None else folder.resolve()
        self._folder = ClusterFolder(root)
        self._binaries = binaries
        self._fixed_port = port
        self._port = port
        self._durable = durable
        self._account = server_account()
        self._started_pid: int | None = None
        self.socket_folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Everything that the cluster keeps is below it."""
        return self._folder.root

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self._folder.data

    @property
    def log(self) -> Path:
        """The server's log; that of the run before is beside it with the suffix ``.1``."""
        return self._folder.log

    @property
    def port(self) -> int:
        """The TCP port; known before the start, which changes it only if it was taken in between."""
        if self._port is None:
            self._port = free_port(self.host)
        return self._port

    @property
    def password(self) -> str:
        """The superuser's password; there is one once the cluster has been started for the first time."""
        return self._folder.read_password()

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return running_pid(self.data)

    @property
    def version(self) -> str | None:
        """Such as ``16.14``; None before the first start unless the programs were given."""
        return self._binaries.version if self._binaries else None

    def directus_env(self, database: str) -> dict[str, str]:
        """The ``DB_*`` variables with which Directus reaches a database of this cluster.

        Args:
            database: the database's name.
        """
        return {
            "DB_CLIENT": "pg",
            "DB_HOST": self.host,
            "DB_PORT": str(self.port),
            "DB_DATABASE": database,
            "DB_USER": self.user,
            "DB_PASSWORD": self.password,
        }

    async def start(self) -> None:
        """Start the server, making its data folder if there is none, and wait until it takes connections.

        A server that an earlier run left behind on this folder is ended first.

        Raises:
            SupervisorError: ``dev.setup_failed`` with the last lines of the server's log.
        """
        pid = self.pid
        if pid is not None and pid == self._started_pid:
            return
        await self.stop()
        programs = await anyio.to_thread.run_sync(self._prepare)
        if not self._folder.is_made:
            await self._folder.initdb(programs, self.user)
        for attempts_left in reversed(range(_PORT_ATTEMPTS)):
            status, output = await self._start_once(programs)
            if status == 0:
                self._started_pid = self.pid
                return
            log = await anyio.to_thread.run_sync(read_tail, self.log)
            await self.stop()
            taken = "Address already in use" in log
            if not taken or self._fixed_port is not None or not attempts_left:
                raise self._start_error(log or output, port_taken=taken)
            self._port = free_port(self.host)

    async def stop(self) -> None:
        """Stop the server in its fast mode, ever more firmly when it does not end.

        Not cancellable; usually a fraction of a second, 27 s at the very most.
        """
        await self._end(_STOP)

    async def kill_immediately(self) -> None:
        """End the server as a crash would: connections break, and the next start recovers from the log."""
        await self._end(_CRASH)

    async def remove(self) -> None:
        """Stop the server and delete the folder."""
        await self.stop()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(self.folder, ignore_errors=True))

    async def create_database(self, name: str, *, exist_ok: bool = False) -> None:
        """Make an empty database.

        Args:
            name: its name.
            exist_ok: one of that name that is already there is fine.

        Raises:
            asyncpg.DuplicateDatabaseError: there is one of that name.
        """
        import asyncpg  # noqa: PLC0415 - not needed to start and stop a server

        try:
            await self._execute(f"CREATE DATABASE {_identifier(name)}")
        except asyncpg.DuplicateDatabaseError:
            if not exist_ok:
                raise

    async def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions in it; a missing one is fine.

        Args:
            name: its name.
        """
        await self._execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        """Open a superuser's connection.

        Args:
            database: the database to connect to.
        """
        import asyncpg  # noqa: PLC0415 - not needed to start and stop a server

        return await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            ssl=False,
        )

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        await (self.remove() if self._temporary else self.stop())

    async def _execute(self, statement: str) -> None:
        connection = await self.connect()
        try:
            await connection.execute(statement)
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close(timeout=_CLOSE_TIMEOUT_S)

    async def _end(self, steps: tuple[tuple[Shutdown, float], ...]) -> None:
        with anyio.CancelScope(shield=True):
            await end_server(self.data, steps)
            await anyio.to_thread.run_sync(self._folder.remove_socket_folder)
        self._started_pid = None
        self.socket_folder = None

    def _prepare(self) -> PostgresPrograms:
        major = self._folder.data_major()
        if self._binaries is None or (major is not None and self._binaries.major != major):
            self._binaries = find_postgres(major=major)
        self._binaries = reachable_for(self._binaries, self._account)
        programs = PostgresPrograms(self._binaries, self._account)
        self._folder.prepare(programs)
        forget_dead_server(self.data)
        return programs

    async def _start_once(self, programs: PostgresPrograms) -> tuple[int, str]:
        settings = {**_SETTINGS, **({} if self._durable else _THROWAWAY_SETTINGS), "port": str(self.port)}
        self.socket_folder = await anyio.to_thread.run_sync(self._folder.configure, programs, settings)
        arguments = ("--wait", f"--timeout={_START_TIMEOUT_S}", f"--pgdata={self.data}", f"--log={self.log}")
        try:
            return await programs.run("pg_ctl", "start", *arguments)
        except BaseException:
            await self.stop()
            raise

    def _start_error(self, output: str, *, port_taken: bool) -> Exception:
        if port_taken:
            message, remedy = (
                f"port {self.port} of {self.host} is taken",
                "Stop the process that holds the port.",
            )
        else:
            message = f"the server did not start; its log is {self.log}"
            remedy = "Start over with `directus-supervisor dev --fresh` if its data is damaged."
        return setup_failed("PostgreSQL", message, output=output, remedy=remedy)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
