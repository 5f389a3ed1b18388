"""The restart policy: whether and when a dead process is started again. Pure: no I/O, time and chance are handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# More early deaths than these change no delay: the cap is long reached, whatever the factor is in practice.
_LONGEST_SERIES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """The numbers that decide.

    Attributes:
        backoff_s: delay before the first restart, seconds.
        factor: each further early death multiplies the delay by this.
        backoff_max_s: cap of the delay, seconds.
        jitter: share of the delay by which it is varied, both ways, 0 to 1.
        stable_s: a death after this uptime, seconds, counts as the first one again.
        limit: restarts allowed within the window.
        window_s: length of the window, seconds.
        never: statuses, as a shell gives them, after which it is not restarted and all is well.
        fatal: statuses after which no restart is tried.
    """

    backoff_s: float
    factor: float
    backoff_max_s: float
    jitter: float
    stable_s: float
    limit: int
    window_s: float
    never: frozenset[int] = frozenset()
    fatal: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Death:
    """One end of the process that nobody asked for; times in monotonic seconds."""

    started_s: float
    ended_s: float

    @property
    def uptime_s(self) -> float:
        """How long the process lived, seconds."""
        return self.ended_s - self.started_s


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start it again.

    Attributes:
        deaths: how often it died within the window.
        span_s: seconds from the first of these deaths' start to the last death.
    """

    deaths: int
    span_s: float


@dataclass(frozen=True, slots=True)
class EndService:
    """Do not start it again: it has done what it was to do."""


def decide(
    policy: RestartPolicy, deaths: Sequence[Death], status: int | None, chance: float
) -> Restart | GiveUp | EndService:
    """Decide what follows the last death.

    Args:
        policy: the numbers.
        deaths: every death so far, oldest first; at least one.
        status: of the last death, as a shell gives it (128 and the signal's number); None when we ended it.
        chance: a random number from 0 to 1 for the jitter.

    Returns:
        A restart with its delay, or the end when the budget of the window is spent.
    """
    now = deaths[-1].ended_s
    recent = [death for death in deaths if now - death.ended_s <= policy.window_s]
    if status in policy.never:
        return EndService()
    if len(recent) > policy.limit or status in policy.fatal:
        return GiveUp(len(recent), now - recent[0].started_s)
    earlier = 0
    for death in reversed(deaths[1:]):
        # The death of a process that had been stable is the first of a new series.
        if death.uptime_s >= policy.stable_s:
            break
        earlier += 1
    try:
        delay = min(policy.backoff_s * policy.factor**earlier, policy.backoff_max_s)
    except OverflowError:
        delay = policy.backoff_max_s if policy.backoff_s else 0.0
    varied = delay * (1 + policy.jitter * (2 * chance - 1))
    return Restart(min(max(varied, 0.0), policy.backoff_max_s))


def relevant(policy: RestartPolicy, deaths: Sequence[Death]) -> list[Death]:
    """The deaths that decide anything still, so that a process may die for years without a growing history.

    Args:
        policy: the numbers.
        deaths: what was kept so far and the last death, oldest first.

    Returns:
        The newest ones, enough to tell a spent budget and the length of the series.
    """
    return list(deaths[-max(policy.limit + 1, _LONGEST_SERIES) :])
