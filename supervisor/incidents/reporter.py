"""Makes one record of each incident, logs it, and has it kept."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from supervisor.errors import SupervisorError
from supervisor.incidents import record, store, termination
from supervisor.incidents.beside import Beside
from supervisor.incidents.causes import GIVEN_UP, incidence_of
from supervisor.incidents.good_boot import BootFacts, changes, facts_of, keep_last, read_last
from supervisor.incidents.signs import concerns_database, of_full_disk
from supervisor.logs import events, setup
from supervisor.logs.setup import get_log
from supervisor.logs.timestamp import timestamp
from supervisor.process.ending import Ending
from supervisor.process.oom import OomCounter
from supervisor.settings import Settings

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.sqlfile import SqlTree

_FINISH_S: Final = 2.0
# Words of our own: a password that is the same word would be told by masking them.
_OURS: Final = frozenset({"code", "runbook", "phase", "process", "signal", "id", "timestamp", "boot_id"})
_log = get_log("incident")


class Reporter:
    """Tells of the incidents of one run: each once, whatever becomes of the telling.

    Args:
        settings: where incidents are kept.
        started_s: when the supervisor was started, monotonic seconds.
    """

    def __init__(self, settings: Settings, started_s: float) -> None:
        self._folder = settings.incident_dir
        self._termination = termination.place_of(settings.termination_log)
        self._started_s = started_s
        self._began_at = datetime.now(UTC)
        self._beside = Beside(_complain)
        self._oom = OomCounter()
        self._oom_before = self._oom.read()
        self._configuration: Configuration | None = None
        self._sql: SqlTree | None = None
        self._now: BootFacts | None = None
        self._last_good: BootFacts | None = None
        self._kept_as_good = False
        self._told: Exception | None = None

    def booting(self, configuration: Configuration) -> None:
        """It is known what boots: from now on it can be compared with the last good boot."""
        self._configuration = configuration
        self._now = _masked_facts(facts_of(configuration, None, timestamp(self._began_at)))
        if self._folder is not None:
            self._last_good = read_last(self._folder)

    def with_sql(self, sql: SqlTree) -> None:
        """The SQL files of this boot could be read."""
        self._sql = sql
        if self._now is not None:
            self._now = replace(self._now, sql={file.name: file.checksum for file in sql.all})

    def good(self) -> None:
        """This boot is a good one; the next ones are compared with it."""
        if self._folder is None or self._now is None or self._kept_as_good:
            return
        self._kept_as_good = True
        facts = replace(self._now, at=timestamp(datetime.now(UTC)))
        work = partial(keep_last, self._folder, facts)
        self._beside.do(f"The good boot could not be kept in {self._folder}", work)

    def died(self, ending: Ending) -> None:
        """A process came to an end that nobody asked for, and is going to be started again."""
        with _harmless():
            code, remedy = incidence_of(ending.trouble.cause)
            message = f"{ending.process} {ending.trouble.why}."
            self._tell(record.of_process(code, message, remedy, ending.facts, mask=setup.redactor.text))

    def given_up(self, process: str, error: SupervisorError) -> None:
        """A process beside Directus is not started again."""
        facts = {**error.facts, "process": process}
        with _harmless():
            mask = setup.redactor.text
            self._tell(record.of_process(GIVEN_UP.code, error.message, error.remedy, facts, mask=mask))

    async def failed(self, error: SupervisorError, *, phase: str | None) -> None:
        """A failure ends the run; while the event loop still runs, the database can be asked.

        Args:
            error: the failure.
            phase: the phase that failed, where one did.
        """
        with _harmless():
            fields = self._of_failure(error, phase)
            self._end(error, {**fields, **await self._looked_up(fields)})

    async def _looked_up(self, fields: record.Fields) -> dict[str, Any]:
        """What has changed since the last good boot, and how Postgres is where that matters."""
        asked: dict[str, Any] = {}
        last_good = self._last_good
        wanted = concerns_database(fields)
        if self._configuration is not None and (wanted or last_good is None):
            from supervisor.incidents.database import ask  # noqa: PLC0415 - only after a failure
            from supervisor.postgres.target import resolve_target  # noqa: PLC0415

            # The phases may take another way to the database than the Directus that serves.
            served = "phase" not in fields and "process" in fields
            configuration = self._configuration
            target = resolve_target(configuration.environment) if served else configuration.target
            answer = await ask(target, self._sql, self._began_at)
            last_good = last_good or answer.last_good
            if wanted:
                full = of_full_disk(fields, [str(answer.state.get("reason", ""))])
                asked = {"postgres": {**answer.state, "disk_full": full}}
        return {**self._compared(last_good), **asked}

    def has_told_of(self, error: Exception) -> bool:
        """Whether this failure was told as the one that ends the run."""
        return self._told is error

    def ended_by(self, error: Exception) -> Exception:
        """The failure that ends the process; tells of it unless that was done when it happened.

        Args:
            error: what came out of the run in the end.

        Returns:
            The one that was told of: what may fail after it while the run is taken down does not take its place.
        """
        if self._told is None:
            with _harmless():
                self._end(error, {**self._of_failure(error, None), **self._compared(self._last_good)})
        return self._told or error

    def close(self) -> None:
        """Wait until all files are written; gives up on a volume that hangs."""
        self._beside.finish(_FINISH_S)

    def _of_failure(self, error: Exception, phase: str | None) -> record.Fields:
        uptime_s = time.monotonic() - self._started_s
        fields = record.of_failure(error, phase=phase, uptime_s=uptime_s, mask=setup.redactor.text)
        after = self._oom.read()
        if fields.get("signal") == signal.SIGKILL.name and None not in {after, self._oom_before}:
            fields["oom"] = fields["oom"] or after != self._oom_before
        return fields

    def _compared(self, last_good: BootFacts | None) -> dict[str, Any]:
        if last_good is None or self._now is None:
            return {"changed": None}
        return {"changed": changes(last_good, self._now), "last_good_boot": last_good.at}

    def _end(self, error: Exception, fields: record.Fields) -> None:
        self._told = error
        self._tell(fields, ends=True)

    def _tell(self, fields: record.Fields, *, ends: bool = False) -> None:
        if "changed" not in fields:
            fields = {**fields, **self._compared(self._last_good)}
        _log.emit(events.INCIDENT, **fields)
        shown = _masked(fields)
        if self._folder is not None:
            at = timestamp(datetime.now(UTC))
            identity = {"id": store.id_of(at, str(fields["code"]), setup.boot_id), "timestamp": at}
            document = {**identity, "boot_id": setup.boot_id, **shown}
            work = partial(store.keep, self._folder, document)
            self._beside.do(f"The incident could not be kept in {self._folder}", work)
        if ends and self._termination is not None:
            path, message = self._termination, termination.message_of(shown)
            self._beside.do("The termination message could not be written", partial(termination.write, path, message))


@contextmanager
def _harmless() -> Iterator[None]:
    """Whoever tells of a failure must not become one."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the failure that was to be told of goes on
        _complain(f"An incident could not be told of, a bug of ours: {type(error).__name__}: {error}")


def _complain(message: str) -> None:
    _log.emit(events.INCIDENT_NOT_KEPT, message=message)


def _masked(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if name in _OURS else setup.redactor.value(value) for name, value in fields.items()}


def _masked_facts(facts: BootFacts) -> BootFacts:
    return replace(facts, settings={name: setup.redactor.text(text) for name, text in (facts.settings or {}).items()})
