"""Which database Directus talks to: host, credentials, TLS and schema, resolved as by Directus itself.

The layers are ``@directus/api`` (which variables, what is required), knex (the client's name, the connection
string) and node-postgres (``PGHOST`` and its like, defaults, TLS). Where they would go on with nonsense (a
port that is no number becomes 5432) this says so instead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from supervisor.directus.cast import js_string
from supervisor.directus.config_object import config_object
from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.postgres.connection_string import (
    EXPECTED_FORM,
    ConnectionStringError,
    parse_connection_string,
)
from supervisor.postgres.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervisor.directus.environment import DirectusEnvironment

_POSTGRES_CLIENTS = ("pg", "postgres", "postgresql")
_TLS_MODES = ("prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Target:
    """The database that Directus uses.

    Attributes:
        host: a host name, an address, or the absolute folder of a Unix socket.
        port: also part of a Unix socket's name.
        password: None leaves it to the password file (``PGPASSFILE``), which node-postgres reads too.
        ssl: None for plain text.
        search_path: schemas that Directus sets on each connection; empty for the server's own default.
        options: further server options of each session (``-c name=value``), as ``PGOPTIONS`` gives them.
    """

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    ssl: TlsSettings | None = None
    search_path: tuple[str, ...] = ()
    options: str | None = None

    @property
    def main_schema(self) -> str:
        """The schema that Directus looks for its tables in."""
        return self.search_path[0] if self.search_path else "public"

    @property
    def label(self) -> str:
        """Where to, in short and without secrets: ``app@db.local:5432/rally``."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"


def resolve_target(environment: DirectusEnvironment, host: str | None = None, port: int | None = None) -> Target:
    """Works out the connection that Directus would make.

    Reads no files but the certificates that a connection string names (``sslrootcert`` and its like).

    Args:
        environment: what Directus is configured with.
        host: in place of the configured one, for a way to the same database around a pooler.
        port: likewise.

    Raises:
        SupervisorError: ``CONFIG_INVALID``; names every problem at once, also in the fact ``problems``.
    """
    problems: list[str] = []
    config = config_object(environment, "DB_", omit_prefix="DB_EXCLUDE_TABLES")
    client = config.get("client")
    if client not in _POSTGRES_CLIENTS:
        _fail([_client_problem(environment, client)])
    connection_string = config.get("connectionString")
    required: tuple[str, ...] = ("DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USER")
    if client != "pg":
        # Directus knows only the name "pg"; under the other two it wants every variable, the password too.
        required += ("DB_PASSWORD",)
    elif connection_string:
        required = ()
    problems += [f"{name} is not set" for name in required if name not in environment]
    search_path = _search_path(config.get("searchPath"), problems)
    connection: Mapping[str, object] = config
    if connection_string:
        connection = _string_settings(connection_string, environment.cwd, problems)
    if problems and connection_string:
        _fail(problems)

    if host is not None:
        connection = {**connection, "host": host}
    if port is not None:
        connection = {**connection, "port": port}
    settings = _Settings(connection, environment, problems, of_string=bool(connection_string))
    user = settings.text("user", environment.process.get("USER"))
    address = settings.text("host", "localhost") or ""
    target = Target(
        host=address,
        port=settings.port(),
        database=settings.text("database", user) or "",
        user=user or "",
        password=settings.text("password", None),
        ssl=settings.tls(address),
        search_path=search_path,
        options=settings.text("options", None),
    )
    if not user and not problems:
        problems.append(f"{settings.name_of('user')} names no user")
    if problems:
        _fail(problems)
    return target


@dataclass(frozen=True, slots=True)
class _Settings:
    """The object that node-postgres gets, read with its fallbacks to the process' environment."""

    connection: Mapping[str, object]
    environment: DirectusEnvironment
    problems: list[str]
    of_string: bool

    def name_of(self, key: str) -> str:
        return "DB_CONNECTION_STRING" if self.of_string else f"DB_{key.upper()}"

    def text(self, key: str, default: str | None) -> str | None:
        value = self.connection.get(key)
        if value in (None, "", 0):
            value = self.environment.process.get(f"PG{key.upper()}") or default
        if value is None or isinstance(value, str):
            return value
        name = self.name_of(key)
        self.problems.append(
            f"{name} ({self.environment.source(name)}) is read by Directus as {_kind(value)}, not as text; "
            "put `string:` before the value"
        )
        return None

    def port(self) -> int:
        value = self.connection.get("port")
        name = self.name_of("port")
        # NaN counts as nothing in JavaScript: Directus would silently go to the default port.
        if not (isinstance(value, float) and math.isnan(value)):
            if value in (None, "", 0):
                value = self.environment.process.get("PGPORT") or 5432
            digits = re.match(r"\s*\+?([0-9]+)", js_string(value))
            if digits and 0 < int(digits[1]) <= 65535:
                return int(digits[1])
        self.problems.append(f"{name} ({self.environment.source(name)}) is not a port number between 1 and 65535")
        return 0

    def tls(self, host: str) -> TlsSettings | None:
        process = self.environment.process
        name = self.name_of("ssl")
        ssl = self.connection["ssl"] if "ssl" in self.connection else _tls_from_mode(process.get("PGSSLMODE"))
        if ssl == "no-verify":
            ssl = {"rejectUnauthorized": False}
        if not ssl and not isinstance(ssl, (dict, list)):
            return None
        if host.startswith("/"):
            self.problems.append(f"{name} asks for TLS, which PostgreSQL does not speak on the Unix socket {host}")
            return None
        if not isinstance(ssl, (dict, list)) and ssl is not True and ssl != "true":
            instead = "ssl=true or sslmode=disable" if self.of_string else "true or false"
            self.problems.append(f"{name} asks for TLS with a value that Directus' driver fails on; write {instead}")
            return None
        options = ssl if isinstance(ssl, dict) else {}
        extra_ca_file = process.get("NODE_EXTRA_CA_CERTS")
        verify_by_default = process.get("NODE_TLS_REJECT_UNAUTHORIZED") != "0"
        return TlsSettings(
            server_name=_server_name(host, options.get("servername")),
            reject_unauthorized=options.get("rejectUnauthorized", verify_by_default) is not False,
            ca=_pem(options.get("ca")),
            extra_ca_file=Path(self.environment.cwd, extra_ca_file) if extra_ca_file else None,
            cert=_pem(options.get("cert")),
            key=_pem(options.get("key")),
            passphrase=js_string(options["passphrase"]) if options.get("passphrase") else None,
        )


def _fail(problems: list[str]) -> NoReturn:
    raise SupervisorError(CONFIG_INVALID, "; ".join(problems), problems=problems)


def _client_problem(environment: DirectusEnvironment, client: object) -> str:
    if client is None:
        return 'DB_CLIENT is not set; it must be "pg"'
    source, text = environment.source("DB_CLIENT"), js_string(client)
    return f'DB_CLIENT ({source}) is "{text}"; only PostgreSQL is supported: "pg", "postgres" or "postgresql"'


def _string_settings(connection_string: object, cwd: Path, problems: list[str]) -> Mapping[str, object]:
    if isinstance(connection_string, list):
        problem = "has a comma, at which Directus splits it; write %2C for it, or put `string:` before the value"
    elif not isinstance(connection_string, str):
        problem = f"is not a URL of the form {EXPECTED_FORM}"
    else:
        try:
            return parse_connection_string(connection_string, cwd)
        except ConnectionStringError as error:
            problem = str(error)
    problems.append(f"DB_CONNECTION_STRING {problem}")
    return {}


def _search_path(value: object, problems: list[str]) -> tuple[str, ...]:
    if not value and not isinstance(value, list):
        return ()
    names = tuple(map(js_string, value)) if isinstance(value, list) else (value,)
    # knex puts the names between double quotes, and does not double one within.
    if not names or not all(isinstance(name, str) and name and '"' not in name for name in names):
        problems.append("DB_SEARCH_PATH is not a schema name, or several with commas between them")
        return ()
    return tuple(map(js_string, names))


def _tls_from_mode(mode: str | None) -> object:
    return {"rejectUnauthorized": False} if mode == "no-verify" else mode in _TLS_MODES


def _server_name(host: str, given: object) -> str:
    if not _is_ip_address(host):
        return host
    # node-postgres names no server when it dials an address; Node.js then verifies the name "localhost".
    return js_string(given) if given else "localhost"


def _is_ip_address(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - only needed with TLS

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _pem(value: object) -> str | None:
    # A list is made by DB_SSL__CA__0, or by a comma in the text around the certificates.
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return "\n".join(map(js_string, value))
    return js_string(value) if value else None


def _kind(value: object) -> str:
    return {bool: "true or false", int: "a number", float: "a number", list: "a list"}.get(type(value), "an object")
