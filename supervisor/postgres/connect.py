"""Connecting to the database that Directus uses, and telling the failures that time can mend from those it cannot."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg
from asyncpg import exceptions as pg
from asyncpg.connect_utils import SessionAttribute

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.target import Target
from supervisor.postgres.tls import ssl_context

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

APPLICATION_NAME: Final = "directus-supervisor"

# Class 57P: the server is starting, stopping or recovering; 53300: too many connections.
_MENDED_BY_TIME: Final = (
    pg.CannotConnectNowError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.TooManyConnectionsError,
    pg.ConnectionDoesNotExistError,
    pg.ConnectionFailureError,
)
LOST: Final = (
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.CannotConnectNowError,
    pg.ConnectionDoesNotExistError,
    pg.ConnectionFailureError,
    pg.InternalClientError,
    ConnectionError,
    EOFError,
)


_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
# Without these the backend of a killed supervisor runs its statement to the end, and keeps the lock that long. Not in
# the start-up message: poolers refuse what they do not know there.
_KEEPALIVES: Final = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
# Servers before 14 do not know it.
_CHECK_CLIENT: Final = "SET client_connection_check_interval = '2s'"
_RESET: Final = (
    "RESET SESSION AUTHORIZATION",
    "RESET ROLE",
    "RESET ALL",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "DEALLOCATE ALL",
    "UNLISTEN *",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed attempt to connect means.

    Attributes:
        retry: whether another attempt can succeed without anybody changing anything.
        cause: one sentence.
        remedy: what to do, for failures that stay.
    """

    retry: bool
    cause: str
    remedy: str = ""


async def connect(target: Target, timeout_s: float) -> Connection:
    """Open one session on the database of `target`.

    Args:
        target: where and as whom.
        timeout_s: seconds for the whole of it, TLS and authentication included.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError: see :func:`judge`.
    """
    server_settings = {"application_name": APPLICATION_NAME}
    if target.search_path:
        server_settings["search_path"] = ", ".join(map(quote_identifier, target.search_path))
    if target.options:
        server_settings["options"] = target.options
    with anyio.fail_after(timeout_s):
        connection: Connection = await asyncpg.connect(
            host=target.host,
            port=target.port,
            user=target.user,
            password=target.password,
            database=target.database,
            # Left to itself asyncpg tries TLS first, where Directus speaks plainly unless told otherwise.
            ssl=ssl_context(target.ssl) if target.ssl is not None else False,
            # The next two would come from PGSSLNEGOTIATION and PGTARGETSESSIONATTRS, which node-postgres does not know.
            direct_tls=False,
            target_session_attrs=SessionAttribute.any,
            timeout=timeout_s,
            statement_cache_size=0,
            server_settings=server_settings,
        )
        try:
            _notice_dead_server(connection)
            await _set_up(connection)
        except BaseException:
            connection.terminate()
            raise
    return connection


def _notice_dead_server(connection: Connection) -> None:
    """Let the kernel ask whether the other side is there: a statement that waits sends nothing, and would for ever."""
    # asyncpg has no option for it.
    inner: Any = connection
    tcp: socket.socket | None = inner._transport.get_extra_info("socket")
    if tcp is None or tcp.family == socket.AF_UNIX:
        return
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Each system has some of them.
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def reset_session(connection: Connection) -> tuple[str, ...]:
    """Bring a session back to how :func:`connect` made it, but for the advisory locks that it holds.

    Returns:
        The statements that did it, which do it again on this session.

    Raises:
        asyncpg.PostgresError: the session is lost, or within a transaction that has failed.
    """
    return await _set_up(connection, *_RESET)


async def _set_up(connection: Connection, *before: str) -> tuple[str, ...]:
    """Let the server notice a dead client, after what is to run first; returns all that was run."""
    wanted = (*before, *_KEEPALIVES)
    if connection.get_server_version() >= (14,):
        # Refused, with all of it undone, by servers on a platform that cannot tell.
        with suppress(pg.InvalidParameterValueError):
            await connection.execute("; ".join([*wanted, _CHECK_CLIENT]))
            return (*wanted, _CHECK_CLIENT)
    await connection.execute("; ".join(wanted))
    return wanted


def in_transaction(connection: Connection) -> bool:
    """Whether a session lives and is in a transaction, be it one that has failed."""
    # asyncpg's own answer is an AttributeError once the connection was terminated.
    return not connection.is_closed() and connection.is_in_transaction()


def quote_identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """`text` as an SQL literal that no setting of a session reads otherwise.

    Such are ``standard_conforming_strings``, and ``client_encoding``, by which asyncpg does not go in a query's text.
    """
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return "E'" + "".join(one if one.isascii() else f"\\U{ord(one):08x}" for one in escaped) + "'"


def judge(error: BaseException, target: Target) -> Verdict:  # noqa: C901, PLR0911, PLR0912 - one case a line
    """Tell what a failed attempt to connect means.

    Args:
        error: what :func:`connect` raised.
        target: for names in the sentences.
    """
    where = f"{target.host}:{target.port}"
    match error:
        case pg.InvalidPasswordError():
            # The server does not tell the two apart.
            return Verdict(
                False,
                f"wrong password for user {target.user!r}, or no such user",
                "Correct DB_PASSWORD or DB_USER.",
            )
        case pg.InvalidAuthorizationSpecificationError():
            return Verdict(
                False,
                f"user {target.user!r} is not let in: {_first_line(error)}",
                "Correct DB_USER, or the server's pg_hba.conf; if it asks for encryption, set DB_SSL.",
            )
        case pg.InvalidCatalogNameError():
            return Verdict(
                False,
                f"there is no database {target.database!r}",
                "Create the database, or correct DB_DATABASE.",
            )
        case pg.InsufficientPrivilegeError():
            return Verdict(
                False,
                f"user {target.user!r} may not connect to database {target.database!r}",
                f"GRANT CONNECT ON DATABASE {quote_identifier(target.database)} to the user.",
            )
        case _ if isinstance(error, _MENDED_BY_TIME):
            return Verdict(True, f"{where}: {_first_line(error)}")
        case pg.ProtocolViolationError() if "unsupported startup parameter" in str(error):
            # PgBouncer takes no options and no search_path unless told to ignore them, and then they count for nothing.
            return Verdict(
                False,
                f"{where}: {_first_line(error)}",
                "A pooler is there: set SUPERVISOR_MIGRATION_DB_HOST and SUPERVISOR_MIGRATION_DB_PORT to the server.",
            )
        case socket.gaierror():
            return Verdict(True, f"the name {target.host!r} does not resolve ({error.strerror})")
        case TimeoutError():
            return Verdict(True, f"{where} did not answer in time")
        case FileNotFoundError():
            return Verdict(True, f"there is no socket of Postgres in {target.host}")
        case PermissionError():
            return Verdict(False, f"{where}: permission denied", "Let this user reach the socket, or correct DB_HOST.")
        case OSError() if _concerns_tls(error):
            return Verdict(False, f"{where}: TLS: {_first_line(error)}", _tls_remedy(error))
        case OSError():
            return Verdict(True, f"{where}: {_first_line(error)}")
        case _:
            return Verdict(False, f"{where}: {_first_line(error)}", "Correct the DB_ settings.")


def lost(error: BaseException) -> bool:
    """Whether `error` means that the session is gone, rather than that a statement failed."""
    if isinstance(error, pg.InterfaceError):
        return "closed" in str(error) or "released" in str(error)
    return isinstance(error, LOST)


def connection_lost(what: str, error: BaseException | None) -> SupervisorError:
    """The failure that a lost session becomes."""
    reason = f" ({_first_line(_first_loss(error))})" if error is not None else ""
    return SupervisorError(errors.POSTGRES_LOST, f"The connection to Postgres was lost during {what}{reason}")


def _first_loss(error: BaseException) -> BaseException:
    """The error that knows why: the clean-up on a dead session fails too, and what it says hides the first one."""
    first, context = error, error.__context__
    while context is not None:
        if lost(context):
            first = context
        context = context.__context__
    return first


def _concerns_tls(error: OSError) -> bool:
    # ssl.SSLError is an OSError; importing ssl for its name would cost every plain connection 2 MB.
    return type(error).__module__ == "ssl" or "SSL" in str(error)


def _tls_remedy(error: OSError) -> str:
    if "rejected SSL upgrade" in str(error):
        return "The server does not speak TLS: enable it there, or unset DB_SSL."
    if "mismatch" in str(error):
        return "Set DB_HOST to a name that the server's certificate has."
    if "expired" in str(error):
        return "Renew the server's certificate, or the authority's in DB_SSL__CA."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Set DB_SSL__CA (or DB_SSL__CA_FILE) to the authority that signed the server's certificate."
    return "Correct DB_SSL and DB_SSL__*."


def _first_line(error: BaseException) -> str:
    text = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    return text.splitlines()[0]


def server_version(connection: Connection) -> str:
    """The server's version as it calls itself, such as "16.6"."""
    settings: Any = connection.get_settings()
    return str(settings.server_version).split(" ")[0]
