"""Trying a SQL file again when another session was in its way: locks, deadlocks, serialization."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import tenacity
from asyncpg import exceptions as pg

# 55P03, 40P01, 40001: nothing is wrong with the statement, and a later attempt may succeed.
IN_THE_WAY: Final = (pg.LockNotAvailableError, pg.DeadlockDetectedError, pg.SerializationError)

# The random part keeps two sessions from meeting again and again.
_backoff = tenacity.wait_exponential(multiplier=0.25, max=15.0) + tenacity.wait_random(0, 0.25)


async def with_retries(
    attempt: Callable[[], Awaitable[None]],
    retries: int,
    before_retry: Callable[[BaseException, int, float], Awaitable[None]],
) -> None:
    """Run `attempt` until it succeeds, fails for another reason, or has failed once more than `retries`.

    Args:
        attempt: what is tried; leaves nothing behind that a further attempt stumbles over.
        retries: how many further attempts there are.
        before_retry: told the error, the number of the failed attempt and the seconds until the next one.

    Raises:
        Exception: whatever the last attempt raised.
    """
    try:
        await attempt()
    except IN_THE_WAY as error:
        first: BaseException | None = error
    else:
        return

    async def say(state: tenacity.RetryCallState) -> None:
        error: Any = state.outcome.exception() if state.outcome else None
        await before_retry(error, state.attempt_number, state.next_action.sleep if state.next_action else 0.0)

    # Setting this up takes as long as a small file, and hardly any needs it: so it begins with what has failed already.
    async for tried in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(IN_THE_WAY),
        wait=_backoff,
        stop=tenacity.stop_after_attempt(retries + 1),
        before_sleep=say,
        sleep=anyio.sleep,
        reraise=True,
    ):
        with tried:
            if first is not None:
                failed, first = first, None
                raise failed
            await attempt()
