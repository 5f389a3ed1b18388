"""The way around a pooler: which address the migrations and Directus' own steps take, and what it costs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from supervisor.configuration import migration_target, step_environment
from supervisor.dev.postgres import PostgresCluster
from supervisor.directus.environment import read_environment
from supervisor.directus.install import Installation
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import connect
from supervisor.postgres.connection_string import with_address
from supervisor.postgres.lock import migration_lock
from supervisor.postgres.target import Target, resolve_target
from supervisor.settings import Settings
from tests.unit.captured import Captured

BASE = {
    "DB_CLIENT": "pg",
    "DB_PORT": "6432",
    "DB_HOST": "pooler",
    "DB_DATABASE": "d",
    "DB_USER": "u",
    "DB_PASSWORD": "p",
}
DIRECT = Settings(migration_db_host="server", migration_db_port=5432)


def step(folder: Path, environ: dict[str, str], settings: Settings = DIRECT) -> tuple[Target, Target]:
    """Where the migrations go, and where Directus' steps would."""
    environment = read_environment(environ, folder)
    target = migration_target(environment, settings)
    installation = Installation(directory=folder, cli=folder / "cli.js", api=folder, version="1", node=folder / "node")
    result = step_environment(environ, environment, target, settings, installation)
    return target, resolve_target(read_environment(result, folder))


def address(target: Target) -> tuple[str, int]:
    return target.host, target.port


def test_both_take_the_direct_way(tmp_path: Path) -> None:
    ours, theirs = step(tmp_path, BASE)
    assert address(ours) == address(theirs) == ("server", 5432)


def test_the_port_alone_can_be_another(tmp_path: Path) -> None:
    ours, theirs = step(tmp_path, BASE, Settings(migration_db_port=5432))
    assert address(ours) == address(theirs) == ("pooler", 5432)


def test_nothing_is_touched_without_the_settings(tmp_path: Path) -> None:
    ours, theirs = step(tmp_path, BASE, Settings())
    assert address(ours) == address(theirs) == ("pooler", 6432)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://u:p@pooler:6432/d",
        "postgres://u:p@pooler/d?sslmode=no-verify",
        "postgres://u:p%2C@pooler:6432/d",
        "postgres://u:p@pooler:6432/d?host=other&port=1",
        "postgres://u:p@pooler:6432/d#fragment",
    ],
)
def test_a_connection_string_is_led_around_the_pooler(tmp_path: Path, text: str) -> None:
    environ = {"DB_CLIENT": "pg", "DB_CONNECTION_STRING": text}
    ours, theirs = step(tmp_path, environ)
    assert address(ours) == ("server", 5432)
    assert ours == theirs
    assert ours.database == "d"


def test_a_variable_that_names_a_file_does_not_win(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("pooler")
    environ = {name: value for name, value in BASE.items() if name != "DB_HOST"}
    ours, theirs = step(tmp_path, {**environ, "DB_HOST_FILE": str(tmp_path / "host")})
    assert address(ours) == address(theirs) == ("server", 5432)


def test_a_host_in_the_file_of_directus_is_refused_since_it_would_win(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=pooler\n")
    with pytest.raises(SupervisorError, match=r"DB_HOST \(file .*\.env\)") as caught:
        step(tmp_path, BASE)
    assert caught.value.failure.code == "config.invalid"


def test_tls_expects_the_name_of_the_server_that_is_reached(tmp_path: Path) -> None:
    ours, theirs = step(tmp_path, {**BASE, "DB_SSL": "true"})
    assert ours.ssl is not None
    assert ours.ssl.server_name == "server"
    assert ours == theirs


def test_a_socket_is_an_address_too() -> None:
    assert with_address("postgres://u@h/d", "/run/pg", 5432) == "postgres://u@h/d?host=%2Frun%2Fpg&port=5432"


def test_the_look_for_a_pooler_costs_no_statement_of_its_own(
    cluster: PostgresCluster, database: str, captured: Captured
) -> None:
    async def statements() -> list[str]:
        seen: list[str] = []
        target = resolve_target(read_environment(cluster.directus_env(database), cluster.folder))
        connection = await connect(target, 5)
        connection.add_query_logger(lambda record: seen.append(record.query))
        async with migration_lock(connection, 1, target):
            pass
        await connection.close()
        return seen

    take, release = anyio.run(statements)
    assert "pg_try_advisory_lock" in take
    assert "pg_advisory_unlock" in release
    assert captured.of("lock.acquired")
