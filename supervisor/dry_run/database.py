"""A database of a dry run's own on a given server: made, marked, and dropped; no other one is ever touched.

The session goes to the database that the address names, which is used for ``CREATE DATABASE`` and its like alone.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import asyncpg
from asyncpg import exceptions as pg

from supervisor import errors
from supervisor.dry_run.marker import Mark, is_leftover, read_mark
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import connect, judge, quote_identifier, quote_literal, server_version
from supervisor.postgres.state import host_name

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.target import Target

_PREFIX: Final = "directus_dry_run_"
_CONNECT_S: Final = 10.0
_DROP_S: Final = 30.0
_TEMPLATE_S: Final = 30.0
_TEMPLATE_PAUSE_S: Final = 0.2
# How long a server may take to come back at the end, when the run has ended with its restart.
_RESTART_S: Final = 10.0
_RECONNECT_PAUSE_S: Final = 0.5
_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
# The owner's alone: who may drop a database is its owner, and a mark can be copied by anybody.
_MARKED: Final = """
    SELECT datname::text AS name, shobj_description(oid, 'pg_database') AS comment
      FROM pg_database WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
       AND shobj_description(oid, 'pg_database') IS NOT NULL
"""
# In whichever database of the server the lock was taken.
_LOCKED: Final = """
    SELECT EXISTS (SELECT FROM pg_locks
                    WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = $1 AND objsubid = 1)
"""
# A worker of the server's own leaves by itself when the database is copied.
_ON_TEMPLATE: Final = """
    SELECT string_agg(concat_ws(' ', 'pid', pid, nullif(application_name, ''), 'of user', usename), ', ' ORDER BY pid)
      FROM pg_stat_activity
     WHERE datname = 'template1' AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'
"""
_LOCK: Final = "SELECT pg_advisory_lock($1)"
_COMMENT: Final = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Throwaway:
    """A database that this run has made.

    Attributes:
        name: its name.
        target: how it is reached.
        server: the server's version.
    """

    name: str
    target: Target
    server: str


@asynccontextmanager
async def throwaway_database(
    server: Target, say: Say, *, keep: bool, goes_with_server: bool = False, template_s: float = _TEMPLATE_S
) -> AsyncIterator[Throwaway]:
    """Make a database, and drop it at the end of the block, however that comes.

    Databases that killed runs have left on the server are dropped first.

    Args:
        server: an address on the server, and who may make databases there.
        say: told what a person should know.
        keep: leave the database.
        goes_with_server: leave it to whoever removes the server with all of its data.
        template_s: seconds to wait for others to leave the template.

    Raises:
        SupervisorError: ``postgres.unreachable``, ``postgres.refused``, ``dry_run.database``.
    """
    mark = Mark(secrets.token_hex(16), host_name(), os.getpid(), _started(os.getpid()), _now().isoformat(), kept=keep)
    name = f"{_PREFIX}{_now():%Y%m%d_%H%M%S}_{mark.token[:8]}"
    session = await _connect(server)
    try:
        await session.fetchval(_LOCK, mark.lock_key)
        await drop_leftovers(session, say)
        try:
            await _create(session, name, server, say, template_s)
        except anyio.get_cancelled_exc_class():
            # It may be there already, and nothing marks it yet.
            await _drop_in_time(server, name, mark, say)
            raise
        try:
            await session.execute(f"COMMENT ON DATABASE {quote_identifier(name)} IS {quote_literal(mark.comment)}")
            yield Throwaway(name, replace(server, database=name), server_version(session))
        finally:
            if not keep and not goes_with_server:
                await _drop_in_time(server, name, mark, say)
    finally:
        session.terminate()


async def drop_leftovers(session: Connection, say: Say) -> None:
    """Drop the databases that runs which are gone have left; the others that carry a mark are named.

    Args:
        session: on any database of the server.
        say: told what was dropped and what was not.
    """
    for row in await session.fetch(_MARKED):
        mark = read_mark(row["comment"])
        if mark is None:
            continue
        name = row["name"]
        locked = bool(await session.fetchval(_LOCKED, mark.lock_key))
        alive = mark.host == host_name() and mark.started != 0 and _started(mark.pid) == mark.started
        if is_leftover(mark, locked=locked, alive=alive, now=_now()):
            try:
                await session.execute(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")
            except asyncpg.PostgresError as error:
                say(_by_hand(name, str(error)))
            else:
                say(f"dropped {name}, which a run on {mark.host} had left on {mark.made_at[:16]}")
        elif mark.kept:
            say(f"kept since {mark.made_at[:16]}: {_by_hand(name, 'it was asked to stay')}")


async def _create(session: Connection, name: str, server: Target, say: Say, template_s: float) -> None:
    if await session.fetchval(_EXISTS, name):
        raise _not_made(name, server, "there is a database of this name already", "Run the command again.")
    deadline, told = time.monotonic() + template_s, False
    while True:
        # The statement itself would wait for them, five seconds each time, and name none.
        users = await session.fetchval(_ON_TEMPLATE)
        if not users and await _created(session, name, server):
            return
        why = f"somebody is connected to template1 ({users or 'not seen any more'})"
        if time.monotonic() >= deadline:
            remedy = "End the sessions on template1, from which PostgreSQL copies a new database."
            raise _not_made(name, server, why, remedy)
        if not told:
            told = True
            say(f"waiting up to {template_s:g} s: {why}")
        await anyio.sleep(_TEMPLATE_PAUSE_S)


async def _created(session: Connection, name: str, server: Target) -> bool:
    """Make the database; whether the template was free for it."""
    try:
        await session.execute(f"CREATE DATABASE {quote_identifier(name)}")
    except pg.ObjectInUseError:
        return False
    except pg.InsufficientPrivilegeError as error:
        remedy = f"ALTER ROLE {quote_identifier(server.user)} CREATEDB; or name another user in the address."
        raise _not_made(name, server, str(error), remedy) from error
    except pg.DiskFullError as error:
        raise _not_made(name, server, str(error), "Free space on the server's disk: it takes 10 MB.") from error
    except asyncpg.PostgresError as error:
        raise _not_made(name, server, str(error), None) from error
    return True


async def _drop_in_time(server: Target, name: str, mark: Mark, say: Say) -> None:
    """Drop it whatever has been cancelled, unless the server is silent."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_DROP_S) as limit:
        await _drop_own(server, name, mark, say)
    if limit.cancelled_caught:
        say(_by_hand(name, f"the server did not answer within {_DROP_S:g} s"))


async def _drop_own(server: Target, name: str, mark: Mark, say: Say) -> None:
    """On a session of its own: that of the run may be in any state, or gone with a server that was restarted."""
    try:
        session = await _connect_again(server)
    except Exception as error:  # noqa: BLE001 - whatever stands in the way, the database is left and named
        say(_by_hand(name, judge(error, server).cause))
        return
    try:
        comment = await session.fetchval(_COMMENT, name)
        found = read_mark(comment)
        # A stop between making and marking leaves it without a mark; a comment that is not ours was put there.
        if comment is not None and found != mark:
            say(_by_hand(name, "it carries another mark than that of this run"))
            return
        await session.execute(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        say(_by_hand(name, str(error)))
    finally:
        session.terminate()


async def _connect_again(server: Target) -> Connection:
    deadline = time.monotonic() + _RESTART_S
    while True:
        try:
            return await connect(server, _CONNECT_S)
        except Exception as error:
            if time.monotonic() >= deadline or not judge(error, server).retry:
                raise
        await anyio.sleep(_RECONNECT_PAUSE_S)


async def _connect(server: Target) -> Connection:
    try:
        return await connect(server, _CONNECT_S)
    except SupervisorError:
        raise
    except Exception as error:
        verdict = judge(error, server)
        failure = errors.POSTGRES_UNREACHABLE if verdict.retry else errors.POSTGRES_REFUSED
        remedy = verdict.remedy or "Check that the server runs, and the address after --against."
        raise SupervisorError(failure, f"{server.label}: {verdict.cause}", remedy=remedy) from error


def _not_made(name: str, server: Target, why: str, remedy: str | None) -> SupervisorError:
    where = f"{server.host}:{server.port}"
    return SupervisorError(errors.DRY_RUN_DATABASE, f"{name} could not be made on {where}: {why}", remedy=remedy)


def _by_hand(name: str, why: str) -> str:
    return f"{name} is still there ({why}); drop it with DROP DATABASE {quote_identifier(name)} WITH (FORCE)"


def _now() -> datetime:
    return datetime.now(UTC)


def _started(pid: int) -> int:
    """When a process began, in ticks; a process id alone is given away again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
