"""What a phase is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from supervisor.errors import BUG, SupervisorError

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.directus.fast_path import Seal
    from supervisor.lineage.guard import ReleaseGuard
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.lock import Lock
    from supervisor.postgres.sqlfile import SqlTree
    from supervisor.process.init import Init

Result = Literal["changed", "unchanged", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phase did.

    Attributes:
        result: whether the database is different now; "skipped" when there was nothing to look at.
        summary: one short sentence.
    """

    result: Result
    summary: str


@dataclass(slots=True)
class Boot:
    """What the phases share.

    Attributes:
        configuration: everything that was configured.
        sql: the SQL files, read and checked before anything ran.
        init: starts and reaps processes.
        seal: left by a schema apply after which nothing was left to do; None when none has run.
        release: what is known of the release that boots; None until the database was asked.
    """

    configuration: Configuration
    sql: SqlTree
    init: Init
    seal: Seal | None = field(default=None, init=False)
    release: ReleaseGuard | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _lock: Lock | None = field(default=None, init=False)

    @property
    def connection(self) -> Connection:
        """The session that everything of this boot uses; there from the first phase on."""
        if self._connection is None:
            raise SupervisorError(BUG, "a phase asked for the database before it was connected")
        return self._connection

    @connection.setter
    def connection(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connected(self) -> bool:
        """Whether there is a session."""
        return self._connection is not None

    @property
    def lock(self) -> Lock:
        """The migration lock, held during every phase after the first."""
        if self._lock is None:
            raise SupervisorError(BUG, "a phase asked for the migration lock before it was taken")
        return self._lock

    @lock.setter
    def lock(self, lock: Lock) -> None:
        self._lock = lock


@dataclass(frozen=True, slots=True)
class Settled:
    """That a phase has nothing to do.

    Attributes:
        outcome: what running it would have come to.
        say: logs what running it would have logged; called only when the phase is indeed left out.
    """

    outcome: Outcome
    say: Callable[[], None] = lambda: None


Run: TypeAlias = Callable[[Boot], Awaitable[Outcome]]
Look: TypeAlias = Callable[[Boot], Awaitable[Settled | None]]


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the boot.

    Attributes:
        name: what logs and reports call it.
        run: the step itself.
        locked: whether it runs under the migration lock.
        look: looks, without the lock and changing nothing, whether the step has anything to do; None when it always
            has. When no locked phase has, the lock is not taken; else all of them run under it, and look again.
        yields: whether it is left out when a newer release has brought the database on.
    """

    name: str
    run: Run
    locked: bool = True
    look: Look | None = None
    yields: bool = False
