"""One attempt at one SQL file: in one transaction with its record, or statement by statement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asyncpg import DivisionByZeroError

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.concurrent_index import concurrent_index, drop_invalid, waits_harmlessly
from supervisor.postgres.connect import in_transaction
from supervisor.postgres.encoding import is_utf8
from supervisor.postgres.guard_table import record
from supervisor.postgres.lock import UNLESS_HELD_FAIL, is_held
from supervisor.postgres.retry import IN_THE_WAY

if TYPE_CHECKING:
    from supervisor.postgres.blockers import Watch
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.splitter import Statement
    from supervisor.postgres.sqlfile import SqlFile

_RELEASES: Final = re.compile(r"\b(?:pg_advisory_unlock\w*|discard\s+all)\b", re.IGNORECASE)
_SWAP_LOCK_TIMEOUT: Final = """
    SELECT set_config('lock_timeout', $2, false) FROM pg_settings WHERE name = 'lock_timeout' AND setting = $1
"""
_log = get_log("migrations")


@dataclass(slots=True)
class Progress:
    """How far a file has come.

    Attributes:
        ran: how many statements of it have run; of a file without a transaction they are kept.
        running: the statement that runs; None before the first one and after the last one.
        committing: whether its transaction is being committed.
    """

    ran: int = 0
    running: Statement | None = None
    committing: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """What every attempt at one file shares.

    Attributes:
        connection: the session that holds the migration lock.
        schema: where the guard table lies.
        file: the file.
        reset: statements that undo what the file before has SET.
        lock_timeout_ms: milliseconds that a statement may wait for a lock, where the file says nothing; 0 is no limit.
        watch: told of each statement.
        progress: where the file is.
    """

    connection: Connection
    schema: str
    file: SqlFile
    reset: tuple[str, ...]
    lock_timeout_ms: int
    watch: Watch
    progress: Progress

    async def attempt(self) -> None:
        """Run the file, or what is left of one without a transaction, and record it.

        Raises:
            SupervisorError: ``sql.lock_released``, ``sql.guard_table``.
            asyncpg.PostgresError: a statement failed; `progress` says which.
        """
        if self.file.directives.transaction:
            await self._attempt_at_once()
        else:
            await self._attempt_the_rest()

    async def _attempt_at_once(self) -> None:
        """In one transaction. Round trips take most of the time of a small file: there are two besides its statements.

        asyncpg's own transaction would take one for each of BEGIN, the timeouts, the look at the lock, the record and
        COMMIT.
        """
        self.progress.ran, self.progress.committing = 0, False
        try:
            await self._begin()
            for statement in self.file.statements:
                await self._execute(statement)
            self.progress.committing = True
            # The commit checks deferred constraints, for which it may wait.
            await self._record("COMMIT")
        except BaseException:
            # A COMMIT that fails has ended the transaction.
            if in_transaction(self.connection):
                await self.connection.execute("ROLLBACK")
            raise

    async def _begin(self) -> None:
        # Apart from the file's own transaction: BEGIN goes by what was SET, such as default_transaction_read_only, and
        # SET TRANSACTION is refused after a query.
        clean = ("BEGIN", *self.reset, UNLESS_HELD_FAIL, "COMMIT")
        try:
            await self.connection.execute("; ".join([*clean, "BEGIN", *self._timeouts("SET LOCAL")]))
        except DivisionByZeroError:
            await self.connection.execute("ROLLBACK")
            await self._require_lock()
            raise

    async def _attempt_the_rest(self) -> None:
        # What the statements that ran have SET stays, too.
        if not self.progress.ran:
            await self.connection.execute("; ".join([*self.reset, *self._timeouts("SET SESSION")]))
        await self._require_lock()
        for statement in self.file.statements[self.progress.ran :]:
            await self._execute_alone(statement)
            await self._require_lock()
        await self._record()

    async def _execute(self, statement: Statement) -> None:
        self.progress.running = statement
        self._require_utf8(statement)
        self.watch.begin()
        await self.connection.execute(statement.text)
        self.progress.ran += 1

    async def _execute_alone(self, statement: Statement) -> None:
        self.progress.running = statement
        self.watch.begin()
        default = str(self.lock_timeout_ms)
        # What a file has SET itself stays.
        is_default = self.file.directives.lock_timeout_ms is None and waits_harmlessly(statement)
        unlimited = is_default and await self.connection.fetchval(_SWAP_LOCK_TIMEOUT, default, "0") is not None
        index = concurrent_index(statement)
        if index is not None and await drop_invalid(self.connection, index):
            _log.emit(events.SQL_INVALID_INDEX, file=self.file.label, line=statement.line, index=index.name)
        try:
            await self._execute(statement)
        except IN_THE_WAY:
            if unlimited:
                await self.connection.fetchval(_SWAP_LOCK_TIMEOUT, "0", default)
            raise
        if unlimited:
            await self.connection.fetchval(_SWAP_LOCK_TIMEOUT, "0", default)

    async def _record(self, *after: str) -> None:
        self.progress.running = None
        self.watch.begin()
        try:
            await record(self.connection, self.schema, self.file, before=[UNLESS_HELD_FAIL], after=after)
        except SupervisorError:
            if in_transaction(self.connection):
                await self.connection.execute("ROLLBACK")
            # Whatever else was the matter: without the lock nothing of the record is to be relied on.
            await self._require_lock()
            raise

    def _timeouts(self, verb: str) -> list[str]:
        directives = self.file.directives
        lock_ms = self.lock_timeout_ms if directives.lock_timeout_ms is None else directives.lock_timeout_ms
        wanted = {"lock_timeout": lock_ms, "statement_timeout": directives.statement_timeout_ms}
        return [f"{verb} {name} = {value}" for name, value in wanted.items() if value is not None]

    def _require_utf8(self, statement: Statement) -> None:
        # asyncpg sends UTF-8, whatever the server was told to expect: it would store other characters.
        encoding = self.connection.get_settings().client_encoding
        if statement.text.isascii() or is_utf8(encoding):
            return
        raise SupervisorError(
            errors.SQL_FAILED,
            f"{self.file.label}:{statement.line}: the statement is UTF-8, as every SQL file, and the file has set "
            f"client_encoding to {encoding} before{self._kept}",
            remedy="Take the statement out that sets client_encoding.",
            file=self.file.label,
            line=statement.line,
        )

    @property
    def _kept(self) -> str:
        return "" if self.file.directives.transaction else f"; {self.progress.ran} of its statements are kept"

    async def _require_lock(self) -> None:
        if await is_held(self.connection):
            return
        culprit = next((one for one in self.file.statements if _RELEASES.search(one.text)), self.progress.running)
        place = f"{self.file.label}:{culprit.line}" if culprit else self.file.label
        raise SupervisorError(
            errors.SQL_LOCK_RELEASED,
            f"{place}: the file released the migration lock that it runs under{self._kept}",
            file=self.file.label,
        )
