"""The schema apply that costs nothing when nothing has changed.

A good apply leaves a record: what decided it (the snapshot's bytes, Directus' version, ours, the settings that matter)
and the fingerprint of the live schema in which Directus' own diff found nothing left to do. A later boot that finds the
same of both would find the same empty diff, so it does not ask. When anything is unclear, it does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import asyncpg

from supervisor import __version__
from supervisor.configuration import Configuration
from supervisor.directus.fingerprint import take_fingerprint
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import lost
from supervisor.postgres.created_tables import may_create_tables
from supervisor.postgres.state import ApplyRecord, read_apply, record_apply

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.sqlfile import SqlTree

_RECORD_S: Final = 10.0
_LARGEST_SUMMED_BYTES: Final = 8_000_000
_PARTITIONS: Final = """
    SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relispartition AND n.nspname = ANY ($1::text[])
"""
_log = get_log("schema")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What decides an apply, apart from the database.

    Attributes:
        snapshot_sha256: of the file's bytes.
        key: sum over all of it, the snapshot included.
    """

    snapshot_sha256: str
    key: str


@dataclass(frozen=True, slots=True)
class Seal:
    """That Directus found nothing left to do.

    Attributes:
        inputs: what decided the apply.
        diffed: the fingerprint's sum of what enters the diff, the same before and after Directus looked.
    """

    inputs: Inputs
    diffed: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the apply can be left out.

    Attributes:
        unchanged: whether everything is as recorded.
        reason: half a sentence that says why or why not.
        diffed: the fingerprint's sum of what enters the diff, where it is unchanged.
    """

    unchanged: bool
    reason: str
    diffed: str | None = None


def read_inputs(configuration: Configuration, sql: SqlTree, snapshot: bytes) -> Inputs:
    """Sum up what decides an apply.

    Args:
        configuration: everything that was configured.
        sql: the SQL files, whose tables are left alone.
        snapshot: the bytes of the snapshot file.
    """
    settings, environment = configuration.settings, configuration.environment
    sha256 = hashlib.sha256(snapshot).hexdigest()
    facts = {
        "snapshot": sha256,
        # Directus parses a file by its suffix.
        "suffix": settings.snapshot.suffix,
        "directus": configuration.installation.version,
        "api": hashlib.sha256((configuration.installation.api / "package.json").read_bytes()).hexdigest(),
        "supervisor": __version__,
        # Of the SQL files, the tables that they make are left alone; whatever else they do, the fingerprint shows.
        "sql": [(file.label, file.checksum) for file in sql.all if may_create_tables(file.text)],
        "search_path": configuration.target.search_path,
        "excluded": environment.text("DB_EXCLUDE_TABLES"),
        # Their hooks take part in the diff.
        "extensions": _extensions(
            configuration.installation.directory / (environment.text("EXTENSIONS_PATH") or "./extensions")
        ),
    }
    return Inputs(sha256, hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest())


def _extensions(folder: Path) -> list[tuple[str, int, str]]:
    """Each manifest and built file with its size and sum: an extension is often built anew under the same version.

    A time would be another one in each copy of the folder; of a very large file it has to do.
    """
    files = [*folder.glob("*/package.json"), *folder.glob("*/dist/*"), *folder.glob(".registry/*/package.json")]
    try:
        return [(str(path.relative_to(folder)), path.stat().st_size, _content(path)) for path in sorted(files)]
    except OSError:
        return []


def _content(path: Path) -> str:
    status = path.stat()
    if not path.is_file() or status.st_size > _LARGEST_SUMMED_BYTES:
        return str(status.st_mtime_ns)
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def judge(connection: Connection, configuration: Configuration, inputs: Inputs) -> Verdict:
    """Compare everything with the record of the last good apply: one query each for the record and the schema.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """
    remembered = await read_apply(connection, inputs.key)
    if remembered is None:
        return Verdict(False, "no apply of this snapshot with these versions and settings is on record")
    try:
        now = await take_fingerprint(connection, configuration.target)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        if lost(error):
            raise
        return Verdict(False, f"the live schema could not be read: {error}")
    if now.everything != remembered.fingerprint:
        return Verdict(False, "the live schema has changed since the last apply")
    return Verdict(True, f"nothing has changed since {remembered.applied_at:%Y-%m-%d %H:%M} UTC", now.diffed)


async def keep_record(connection: Connection, configuration: Configuration, sql: SqlTree, seal: Seal) -> None:
    """Record a sealed apply at the end of the boot, unless the schema or the snapshot moved on after it was sealed.

    Never fails: without a record, the next boot asks Directus.

    Args:
        connection: the session that holds the migration lock.
        configuration: everything that was configured.
        sql: the SQL files.
        seal: that of the apply.
    """
    try:
        with anyio.fail_after(_RECORD_S):
            # In one snapshot file, or with one schema, that was replaced meanwhile, Directus has not looked.
            snapshot = configuration.settings.snapshot.read_bytes()
            inputs = read_inputs(configuration, sql, snapshot)
            now = await take_fingerprint(connection, configuration.target)
            if inputs != seal.inputs or now.diffed != seal.diffed:
                what = "the snapshot or a setting" if inputs != seal.inputs else "the live schema"
                _log.emit(events.SCHEMA_NOT_SEALED, message=f"{what} has changed after Directus had looked")
                return
            if (name := await _named_partition(connection, configuration, snapshot)) is not None:
                _log.emit(events.SCHEMA_NOT_SEALED, message=f"the snapshot names {name}, which is a partition")
                return
            record = ApplyRecord(inputs.key, now.everything, inputs.snapshot_sha256, configuration.installation.version)
            await record_apply(connection, record)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        _log.emit(events.SCHEMA_NOT_SEALED, message=f"the apply could not be recorded: {error}")


async def _named_partition(connection: Connection, configuration: Configuration, snapshot: bytes) -> str | None:
    """A partition whose name is in the snapshot: it is left alone, and the fingerprint would not see it go."""
    schemas = configuration.target.search_path or (configuration.target.main_schema,)
    names = [str(row["name"]) for row in await connection.fetch(_PARTITIONS, list(schemas))]
    return next((name for name in names if name.encode() in snapshot), None)
