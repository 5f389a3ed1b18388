"""The guard of a boot: it looks the release up, claims the place of the latest one, or holds the boot back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from supervisor import errors
from supervisor.errors import Failure
from supervisor.lineage.ledger import Ledger, begin_release, finish_release, read_ledger, withdraw_release
from supervisor.lineage.release import Release, make_release
from supervisor.lineage.standing import Kind, Standing, judge
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import connection_lost, lost

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.sqlfile import SqlTree
    from supervisor.settings import Settings

# They are raised by a look at what is to be done.
_REFUSALS: Final = frozenset(
    {
        errors.SQL_CHECKSUM_MISMATCH,
        errors.SQL_EXTENSION_MISSING,
        errors.SQL_INVALID_FILE,
        errors.SNAPSHOT_INVALID,
        errors.SCHEMA_DESTRUCTIVE,
    }
)
_WITHDRAW_S: Final = 2.0
_log = get_log("release")


@dataclass(slots=True)
class ReleaseGuard:
    """What one boot knows of its release.

    Attributes:
        configuration: everything that was configured.
        mine: the release that boots.
        standing: what it is to the database, as of the last look.
    """

    configuration: Configuration
    mine: Release
    standing: Standing
    _ledger: Ledger

    @classmethod
    async def look(cls, connection: Connection, configuration: Configuration, sql: SqlTree) -> ReleaseGuard:
        """Look the release up, without the lock and changing nothing.

        Raises:
            SupervisorError: ``postgres.connection_lost``.
        """
        settings = configuration.settings
        mine = release_of(settings, configuration.installation.version, sql)
        with _loss_told():
            standing, ledger = await look_up(connection, configuration.target.main_schema, mine, settings)
        return cls(configuration, mine, standing, ledger)

    @property
    def held(self) -> bool:
        """Whether what a newer release has brought on is left alone."""
        return self.standing.held

    @property
    def has_to_write(self) -> bool:
        """Whether this boot has something to put on record, for which it needs the lock."""
        latest = self._ledger.record.latest
        unfinished = self.standing.kind is Kind.CURRENT and latest is not None and not latest.finished
        return self._ledger.writable and (self.standing.claims or unfinished)

    @property
    def account(self) -> str:
        """Why what it held back was left out."""
        return f"release {self.mine.digest[:12]} is not the latest: {self.standing.reason}"

    def tell(self) -> None:
        """Log what is out of the ordinary about it."""
        latest = self._ledger.record.latest
        if latest is None or self.standing.kind in {Kind.FIRST, Kind.CURRENT, Kind.NEWER}:
            return
        told = {"release": self.mine.label, "latest": latest.release.label, "since": latest.since}
        if self.standing.kind is Kind.DIVERGED:
            _log.emit(events.RELEASE_DIVERGED, reason=self.standing.reason, **told)
        elif self.standing.held:
            _log.emit(
                events.RELEASE_SUPERSEDED,
                reason=self.standing.reason,
                remedy=way_on(self.standing),
                **told,
            )
        else:
            _log.emit(events.RELEASE_DOWNGRADED, reason=self.standing.reason, **told)

    async def claim(self, connection: Connection) -> None:
        """Look again under the lock, and become the latest release before anything is changed, where that is due.

        Raises:
            SupervisorError: ``postgres.connection_lost``.
        """
        with _loss_told():
            scope = self.configuration.target.main_schema
            self.standing, self._ledger = await look_up(connection, scope, self.mine, self.configuration.settings)
            if self.standing.claims and self._ledger.writable:
                await begin_release(connection, scope, self.mine)

    async def withdraw(self, connection: Connection, failure: Failure) -> None:
        """Give the place of the latest release back, after a refusal before anything was changed.

        Never fails: at worst the release before it is held, and says so.

        Args:
            connection: the session that still holds the lock.
            failure: what the refusal was; others may have changed something.
        """
        # One that went back to its place had another one before, which nobody knows any more.
        if failure in _REFUSALS and self.standing.claims and self._ledger.record.position is None:
            with suppress(Exception), anyio.move_on_after(_WITHDRAW_S, shield=True):
                await withdraw_release(connection, self.configuration.target.main_schema, self.mine)

    async def finish(self, connection: Connection) -> None:
        """Note that all of it has been applied.

        Args:
            connection: the session that still holds the lock.

        Raises:
            SupervisorError: ``postgres.connection_lost``.
        """
        if not self.standing.held and self._ledger.writable:
            with _loss_told():
                await finish_release(connection, self.configuration.target.main_schema, self.mine)


@contextmanager
def _loss_told() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not lost(error):
            raise
        raise connection_lost("the look at the releases", error) from error


def way_on(standing: Standing) -> str:
    """What to do about a release that is held."""
    return (
        "Deploy the latest release; to go back on purpose, with no other release running, set "
        f"SUPERVISOR_ALLOW_DOWNGRADE={standing.approval} for one boot."
    )


def release_of(settings: Settings, directus: str, sql: SqlTree) -> Release:
    """The release that is here.

    Args:
        settings: where its snapshot lies.
        directus: version of its Directus.
        sql: its SQL files.
    """
    try:
        snapshot = settings.snapshot.read_bytes()
    except OSError:
        # What is wrong with it is for the phase to say.
        snapshot = None
    return make_release(snapshot, directus, sql)


async def look_up(connection: Connection, scope: str, mine: Release, settings: Settings) -> tuple[Standing, Ledger]:
    """What a release is to a database, and what that has on record; changes nothing.

    Args:
        connection: any session, outside a transaction.
        scope: the main schema.
        mine: the release.
        settings: whether going back is allowed.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """
    ledger = await read_ledger(connection, scope, mine)
    return judge(mine, ledger.record, settings.allow_downgrade), ledger
