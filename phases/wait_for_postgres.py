"""Phase 1: wait until Postgres answers, as long as waiting can help."""

from __future__ import annotations

import time

import anyio
import tenacity

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome
from supervisor.postgres.connect import connect, judge, server_version

_ATTEMPT_S = 10.0
_LAST_ATTEMPT_S = 1.0
_backoff = tenacity.wait_exponential(multiplier=0.2, max=5.0) + tenacity.wait_random(0, 0.3)
_log = get_log("postgres")


async def run(boot: Boot) -> Outcome:
    """Connect to the database that Directus uses.

    Raises:
        SupervisorError: ``postgres.refused`` at once for what time cannot mend (password, database, TLS);
            ``postgres.unreachable`` after ``SUPERVISOR_POSTGRES_TIMEOUT_S``.
    """
    target = boot.configuration.target
    timeout_s = boot.configuration.settings.postgres_timeout_s
    deadline = time.monotonic() + timeout_s

    def left_s() -> float:
        return max(deadline - time.monotonic(), 0.0)

    def is_worth_a_retry(error: BaseException) -> bool:
        return isinstance(error, Exception) and judge(error, target).retry

    def delay_s(state: tenacity.RetryCallState) -> float:
        # The last attempt comes when the time is over, not one whole delay earlier.
        return min(_backoff(state), left_s())

    def say(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _log.emit(
            events.POSTGRES_WAITING,
            attempt=state.attempt_number,
            cause=judge(error, target).cause if error else "",
            next_delay_s=round(state.next_action.sleep, 2) if state.next_action else 0.0,
        )

    attempts = 0
    try:
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_worth_a_retry),
            wait=delay_s,
            stop=lambda _state: left_s() == 0.0,
            before_sleep=say,
            sleep=anyio.sleep,
            reraise=True,
        ):
            with attempt:
                attempts = attempt.retry_state.attempt_number
                boot.connection = await connect(target, min(_ATTEMPT_S, max(left_s(), _LAST_ATTEMPT_S)))
    except SupervisorError:
        raise
    except Exception as error:
        verdict = judge(error, target)
        if verdict.retry:
            raise SupervisorError(
                errors.POSTGRES_UNREACHABLE,
                f"Postgres at {target.label} did not answer within {timeout_s:g} s; at the end: {verdict.cause}",
                attempts=attempts,
            ) from error
        raise SupervisorError(
            errors.POSTGRES_REFUSED,
            f"Postgres at {target.label} refused the connection: {verdict.cause}",
            remedy=verdict.remedy,
            attempts=attempts,
        ) from error
    version = server_version(boot.connection)
    _log.emit(events.POSTGRES_ANSWERED, server_version=version, attempt=attempts)
    return Outcome("unchanged", f"PostgreSQL {version} answered at attempt {attempts}")
