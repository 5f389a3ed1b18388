"""Directus' own migrations: which there are, and which of them the database has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.configuration import Configuration
from supervisor.postgres.connect import quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# The two patterns of @directus/api's database/migrations/run.js.
_OWN: Final = re.compile(r"[0-9]+[A-Z]-[^.]+\.(?:js|ts)")
_CUSTOM: Final = re.compile(r".*-.*\.[cm]?js", re.DOTALL)
_EXISTS: Final = "SELECT to_regclass($1) IS NOT NULL"


@dataclass(frozen=True, slots=True)
class MigrationState:
    """How far the database is.

    Attributes:
        begun: whether Directus takes itself for installed: its first system table is there.
        installed: whether the table of migrations, the last of the first ones, is there, too.
        pending: versions that the installation has and the database has not, in order.
        users: number of users; a Directus without any cannot be logged in to.
    """

    begun: bool
    installed: bool
    pending: tuple[str, ...]
    users: int

    @property
    def complete(self) -> bool:
        """Whether a bootstrap would find nothing to do."""
        return self.installed and not self.pending


def known_versions(configuration: Configuration) -> frozenset[str]:
    """The versions that Directus' migration runner would find: its own, and those in ``MIGRATIONS_PATH``."""
    own = _versions(configuration.installation.migrations, _OWN)
    custom = configuration.environment.text("MIGRATIONS_PATH") or "./migrations"
    return own | _versions(configuration.installation.directory / custom, _CUSTOM)


def _versions(folder: Path, pattern: re.Pattern[str]) -> frozenset[str]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return frozenset()
    return frozenset(name.split("-")[0] for name in names if pattern.fullmatch(name))


async def read_state(connection: Connection, configuration: Configuration) -> MigrationState:
    """Look into the database."""
    schema = quote_identifier(configuration.target.main_schema)
    known = known_versions(configuration)
    begun = bool(await connection.fetchval(_EXISTS, f"{schema}.directus_collections"))
    if not begun or not await connection.fetchval(_EXISTS, f"{schema}.directus_migrations"):
        return MigrationState(begun=begun, installed=False, pending=tuple(sorted(known)), users=0)
    rows = await connection.fetch(f"SELECT version::text FROM {schema}.directus_migrations")  # noqa: S608
    users = await connection.fetchval(f"SELECT count(*) FROM {schema}.directus_users")  # noqa: S608
    pending = tuple(sorted(known - {row["version"] for row in rows}))
    return MigrationState(begun=True, installed=True, pending=pending, users=int(users))
