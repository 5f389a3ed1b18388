"""What a cluster keeps on disk: its data folder, the superuser's password, the socket folder, the log."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from supervisor.dev.account import can_enter
from supervisor.dev.failures import explained, setup_failed
from supervisor.dev.paths import make_folder, require_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervisor.dev.postgres_programs import PostgresPrograms

_STEP = "PostgreSQL"
_VARIABLE = "XDG_DATA_HOME"
_SPACE_BYTES = 300 * 2**20
_CONFIGURATION = "supervisor.conf"
_SOCKET_PREFIX = "directus-pg-"
_SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")  # sun_path of unix(7), without its final NUL


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """The folder of one cluster.

    Attributes:
        root: everything is below it.
    """

    root: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log; that of the run before is beside it with the suffix ``.1``."""
        return self.root / "server.log"

    @property
    def is_made(self) -> bool:
        """Whether there is a data folder."""
        return (self.data / "PG_VERSION").exists()

    def data_major(self) -> int | None:
        """The major version of the data; None when there is none.

        Raises:
            SupervisorError: ``dev.setup_failed`` when it cannot be read.
        """
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise setup_failed(
                _STEP,
                f"{self.data / 'PG_VERSION'} cannot be read: {error}",
                remedy="Start over with `directus-supervisor dev --fresh`.",
            ) from error

    def read_password(self) -> str:
        """The superuser's password.

        Raises:
            SupervisorError: ``dev.setup_failed`` when the cluster has not been made yet.
        """
        with explained(_STEP, _VARIABLE):
            return self._password.read_text().strip()

    def prepare(self, programs: PostgresPrograms) -> None:
        """Make the folder usable for the server's account, and set the last run's log aside.

        Args:
            programs: the programs and their account.

        Raises:
            SupervisorError: ``dev.setup_failed`` when it cannot be made, or not be entered by the account.
        """
        make_folder(self.root, variable=_VARIABLE)
        with explained(_STEP, _VARIABLE):
            programs.give(self.root)
            account = programs.account
            if account is not None and not can_enter(self.root, account):
                raise setup_failed(
                    _STEP,
                    f"the user `{account.name}`, as which PostgreSQL has to run, cannot enter {self.root}",
                    remedy=f"Set {_VARIABLE} to a folder whose parents every user may search.",
                )
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".log.1"))

    async def initdb(self, programs: PostgresPrograms, user: str) -> None:
        """Make the data folder; an interrupted attempt is never taken for a whole one.

        Args:
            programs: the programs and their account.
            user: the superuser's name.

        Raises:
            SupervisorError: ``dev.setup_failed`` with the last lines of initdb.
        """
        require_space(self.root, _SPACE_BYTES, step=_STEP, variable=_VARIABLE)
        temporary = self.root / "data.new"
        with explained(_STEP, _VARIABLE):
            await anyio.to_thread.run_sync(self._write_password, programs)
            status, output = 1, ""
            # C.UTF-8 is missing on some older systems; C sorts the same.
            for locale in ("C.UTF-8", "C"):
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(temporary, ignore_errors=True))
                status, output = await programs.run(
                    "initdb",
                    f"--pgdata={temporary}",
                    f"--username={user}",
                    f"--pwfile={self._password}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    f"--locale={locale}",
                    "--no-sync",
                    "--no-instructions",
                )
                if status == 0 or "invalid locale" not in output:
                    break
            if status != 0:
                raise setup_failed(_STEP, f"initdb failed with exit status {status}", output=output)
            with (temporary / "postgresql.conf").open("a") as stream:
                stream.write(f"include_if_exists '{_CONFIGURATION}'\n")
            temporary.rename(self.data)

    def configure(self, programs: PostgresPrograms, settings: Mapping[str, str]) -> Path:
        """Write the settings of the next start, and make a new folder for its unix socket.

        Args:
            programs: the programs and their account.
            settings: names and values of ``postgresql.conf``.

        Returns:
            The socket's folder.

        Raises:
            SupervisorError: ``dev.setup_failed`` when they cannot be written.
        """
        with explained(_STEP, _VARIABLE):
            self.remove_socket_folder()
            folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=_socket_base()))
            self._socket_record.write_text(f"{folder}\n")
            programs.give(folder)
            lines = [f"{name} = '{value}'" for name, value in settings.items()]
            lines.append(f"unix_socket_directories = '{folder}'")
            path = self.data / _CONFIGURATION
            path.write_text("# Written at each start.\n" + "\n".join(lines) + "\n")
            programs.give(path)
        return folder

    def remove_socket_folder(self) -> None:
        """Remove the socket's folder; also that of a run which was killed, whose path is on record."""
        try:
            folder = Path(self._socket_record.read_text().strip())
        except OSError:
            return
        if folder.name.startswith(_SOCKET_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)
        self._socket_record.unlink(missing_ok=True)

    @property
    def _password(self) -> Path:
        return self.root / "password"

    @property
    def _socket_record(self) -> Path:
        return self.root / "socket-folder"

    def _write_password(self, programs: PostgresPrograms) -> None:
        self._password.unlink(missing_ok=True)
        descriptor = os.open(self._password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(24) + "\n")
        programs.give(self._password)


def _socket_base() -> str:
    base = tempfile.gettempdir()
    short = len(os.fsencode(base)) + len(f"/{_SOCKET_PREFIX}12345678") <= _SOCKET_PATH_LIMIT
    # Both a quote and a comma have a meaning in unix_socket_directories.
    return base if short and not set("',") & set(base) else "/tmp"  # noqa: S108 - mkdtemp makes a private folder there
