"""From the boots of a log to its account: which are asked for, how each came out, and what it all comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.explain.account import Account, BootAccount, Input
from supervisor.explain.boot import Boot
from supervisor.explain.ledger import Ledger
from supervisor.explain.numbering import Numbering, Numbers
from supervisor.explain.telling import lanes_of, tell
from supervisor.explain.verdict import verdict_of
from supervisor.lifecycle import State

_COMPARED: Final = ("supervisor", "directus", "postgres")
_NAMED: Final = 10
# So many lines that come before the one they follow are no accident.
_BACKWARDS: Final = 10


def judge(
    ledger: Ledger, numbering: Numbering, source: Input, *, since_s: float | None, boot: str | None, last: bool
) -> Account:
    """Make the account.

    Args:
        ledger: the boots.
        numbering: the numbers of their lines.
        source: what was read.
        since_s: only boots with a line since then, Unix seconds.
        boot: only the boots whose id begins so.
        last: only the last boot of each replica.

    Raises:
        SupervisorError: ``explain.nothing_found`` when no boot is asked for.
    """
    lanes = lanes_of(ledger.boots)
    told: list[list[BootAccount]] = []
    backwards = 0
    for replica, lane in enumerate(lanes, 1):
        kept: list[BootAccount] = []
        good: Mapping[str, str] = {}
        for index, each in enumerate(lane):
            followed = index + 1 < len(lane)
            numbers = _numbers(numbering, each)
            backwards += numbers.backwards if numbers is not None else 0
            if _is_asked_for(each, since_s, boot) and not (last and followed):
                changed = _changed(good, each.versions)
                kept.append(tell(each, replica, followed=followed, numbers=numbers, changed=changed))
            if _was_good(each):
                good = each.versions
        if kept:
            told.append(kept)
    if not told:
        raise _none_asked_for(ledger.boots, since_s, boot)
    boots = sorted((each for lane in told for each in lane), key=lambda each: each.began_at)
    remarks = [*source.remarks]
    if backwards >= _BACKWARDS:
        remarks.append(
            f"{backwards} lines come after later ones; where the log is upside down, turn it round with `tac`"
        )
    lost = sum(each.lines_lost for each in boots)
    left_out = ledger.forgotten + sum(map(len, lanes)) - len(boots)
    return Account(
        input=replace(source, remarks=tuple(remarks)),
        verdict=verdict_of(told, lines_lost=lost, left_out=left_out),
        boots=tuple(boots),
        boots_left_out=left_out,
    )


def _numbers(numbering: Numbering, boot: Boot) -> Numbers | None:
    return numbering.boots.get(boot.boot_id.encode("utf-8", "replace")) if boot.boot_id is not None else None


def _is_asked_for(boot: Boot, since_s: float | None, boot_id: str | None) -> bool:
    if since_s is not None and boot.dated and boot.last_s < since_s:
        return False
    return boot_id is None or (boot.boot_id or "").startswith(boot_id)


def _was_good(boot: Boot) -> bool:
    if boot.command == "migrate":
        return boot.exit_code == 0
    return boot.facts.was_ready or boot.reached is State.READY


def _changed(good: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        name: (good[name], now[name]) for name in _COMPARED if name in good and name in now and good[name] != now[name]
    }


def _none_asked_for(boots: Sequence[Boot], since_s: float | None, boot_id: str | None) -> SupervisorError:
    ids = ", ".join(boot.boot_id or "(without an id)" for boot in boots[-_NAMED:])
    if boot_id is not None and not any((boot.boot_id or "").startswith(boot_id) for boot in boots):
        message = f"no boot in this log has an id that begins with {boot_id}"
    else:
        message = "no boot in this log has a line since then" if since_s is not None else "no boot is left"
    return SupervisorError(errors.LOG_WITHOUT_EVENTS, message, remedy=f"The boots that are there: {ids}.")
