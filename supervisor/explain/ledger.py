"""All boots of a log, told apart. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from supervisor.explain.boot import Boot
from supervisor.explain.record import Record

KEPT_BOOTS: Final = 60
_MOST_FORGOTTEN: Final = 20_000
_MOST_SOURCES: Final = 1000
# A clock that goes back by more than this has passed midnight.
_HALF_A_DAY_S: Final = 43_200.0
_DAY_S: Final = 86_400.0


class Ledger:
    """Hands each event to its boot.

    Args:
        since_s: of what came before, boots keep only the outline; Unix seconds.

    Attributes:
        forgotten: boots that are not kept.
    """

    def __init__(self, since_s: float | None = None) -> None:
        self._since_s = since_s
        self._boots: dict[str, Boot] = {}
        self._forgotten_ids: set[str] = set()
        # Lines without a boot id (console): one boot after the other, for each source.
        self._current: dict[str, int] = {}
        self._last_s: dict[str, float] = {}
        self.forgotten = 0

    @property
    def boots(self) -> list[Boot]:
        """Those that are kept, in the order in which they began."""
        return sorted(self._boots.values(), key=lambda boot: boot.first_s)

    def take(self, record: Record) -> None:
        """Hand one event to its boot."""
        at_s = self._time_of(record)
        key = record.boot_id if record.boot_id is not None else self._key_without_id(record)
        if key in self._forgotten_ids:
            return
        boot = self._boots.pop(key, None)
        if boot is None:
            boot = Boot(record.boot_id, record.source, at_s, dated=record.dated, since_s=self._since_s)
        # The one that spoke last stands last: the first is the one to forget.
        self._boots[key] = boot
        boot.take(record if record.at_s == at_s else replace(record, at_s=at_s))
        if len(self._boots) > KEPT_BOOTS:
            self._forget()

    def _time_of(self, record: Record) -> float:
        last_s = self._last_s.get(record.source, 0.0)
        at_s = record.at_s if record.at_s is not None else last_s
        if not record.dated and record.at_s is not None:
            # Of the time of day the days are counted along.
            at_s += last_s // _DAY_S * _DAY_S
            if at_s < last_s - _HALF_A_DAY_S:
                at_s += _DAY_S
        if record.source in self._last_s or len(self._last_s) < _MOST_SOURCES:
            self._last_s[record.source] = at_s
        return at_s

    def _key_without_id(self, record: Record) -> str:
        number = self._current.get(record.source, 0)
        if record.event == "supervisor.started" and len(self._current) < _MOST_SOURCES:
            number += 1
            self._current[record.source] = number
        return f"\0{record.source}\0{number}"

    def _forget(self) -> None:
        # A replica that is up and quiet speaks less often than one that fails over and over.
        ended = (key for key, boot in self._boots.items() if boot.exit_code is not None)
        key = next(ended, None) or next(iter(self._boots))
        del self._boots[key]
        if len(self._forgotten_ids) < _MOST_FORGOTTEN:
            self._forgotten_ids.add(key)
        self.forgotten += 1
