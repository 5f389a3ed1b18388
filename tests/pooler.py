"""The real PgBouncer in front of a test's cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from supervisor.dev.account import server_account
from supervisor.dev.postgres import PostgresCluster
from tests.harness import eventually, free_port


@contextmanager
def pooler(cluster: PostgresCluster, mode: str, **settings: object) -> Iterator[dict[str, str]]:
    """Run PgBouncer in one of its pool modes.

    Args:
        cluster: the server behind it.
        mode: "session", "transaction" or "statement".
        settings: further ones of its section ``[pgbouncer]``.

    Yields:
        The variables that lead to it in place of the server.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    server = cluster.directus_env("postgres")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{server["DB_USER"]}" "{server["DB_PASSWORD"]}"\n')
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "plain",
            "auth_file": users,
            "pool_mode": mode,
            **settings,
        }
        configuration.write_text(
            f"[databases]\n* = host={server['DB_HOST']} port={server['DB_PORT']}\n[pgbouncer]\n"
            + "".join(f"{option} = {value}\n" for option, value in options.items())
        )
        # Like the server, it refuses to run as root.
        account = server_account()
        for path in (folder, users, configuration) if account else ():
            os.chown(path, account.uid if account else -1, -1)
        process = subprocess.Popen(
            [program, "-q", str(configuration)],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: _answers(port), timeout_s=10)
            yield {"DB_HOST": "127.0.0.1", "DB_PORT": str(port)}
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
