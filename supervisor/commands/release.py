"""What the release here is to the database, as a boot of it would find: for `plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisor.commands.place import Place
from supervisor.lineage.guard import look_up, release_of, way_on
from supervisor.lineage.standing import Latest, Standing
from supervisor.postgres.sqlfile import SqlTree

if TYPE_CHECKING:
    from supervisor.lineage.release import Release
    from supervisor.postgres.connect import Connection

_UNNAMED = (
    "Directus is not installed here, whose version is part of what a release is: whether a boot would be held, "
    "since the database has had a newer release, is not known"
)


@dataclass(frozen=True, slots=True)
class ReleaseAccount:
    """What the release here is to the database.

    Attributes:
        latest: the release that came last; None when none has come.
        mine: the release; None when it cannot be named.
        standing: what it is; None when it cannot be named.
    """

    latest: Latest | None
    mine: Release | None = None
    standing: Standing | None = None

    @property
    def held(self) -> bool | None:
        """Whether a boot would leave SQL files and schema alone; None when that is not known."""
        return self.standing.held if self.standing is not None else None

    @property
    def lines(self) -> tuple[str, ...]:
        """For a person; nothing where nothing is out of the ordinary."""
        if self.mine is None or self.standing is None:
            return (_UNNAMED,)
        if not self.standing.held or self.latest is None:
            return ()
        return (
            f"held: release {self.mine.label} is not the latest: {self.standing.reason}",
            f"a boot leaves SQL files and schema as {self.latest.release.label} has them since {self.latest.since}",
            way_on(self.standing),
        )

    @property
    def document(self) -> dict[str, Any]:
        """The same for programs."""
        latest = self.latest and {
            "release": self.latest.release.digest,
            "directus_version": self.latest.release.directus,
            "since": self.latest.since,
        }
        if self.mine is None or self.standing is None:
            return {"release": None, "kind": None, "held": None, "reason": _UNNAMED, "latest": latest}
        return {
            "release": self.mine.digest,
            "kind": self.standing.kind.value,
            "held": self.standing.held,
            "reason": self.standing.reason,
            "allow_downgrade": self.standing.approval or None,
            "latest": latest,
        }


async def read_release(connection: Connection, place: Place, sql: SqlTree) -> ReleaseAccount | None:
    """Look the release up as a boot does; changes nothing.

    Args:
        connection: a session outside a transaction.
        place: the deployment.
        sql: its SQL files.

    Returns:
        None where the release cannot be named, and none is on record that could hold it.

    Raises:
        asyncpg.PostgresError, OSError: the session is lost.
    """
    mine = release_of(place.settings, place.directus_version or "", sql)
    standing, ledger = await look_up(connection, place.target.main_schema, mine, place.settings)
    latest = ledger.record.latest
    if place.directus_version is not None:
        return ReleaseAccount(latest, mine, standing)
    return ReleaseAccount(latest) if latest is not None else None
