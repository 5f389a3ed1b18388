"""Waiting for the first of several things, each of which answers with its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from supervisor.concurrency import one_error
from supervisor.process.child import Child

EXIT: Final = "exit"
MESSAGE: Final = "message"
PROBE: Final = "probe"
# The HTTP probe is only the fallback for a process that does not speak on its channel.
_PROBE_EVERY_S: Final = 1.0
Wait = Callable[[], Awaitable[str]]


async def first(*waits: Wait) -> str:
    """The answer of the first of these to be done; the others are cancelled."""
    answers: list[str] = []
    with one_error():
        async with anyio.create_task_group() as group:

            async def run(wait: Wait) -> None:
                answers.append(await wait())
                group.cancel_scope.cancel()

            for wait in waits:
                group.start_soon(run, wait)
    return answers[0]


def after_event(event: anyio.Event, answer: str) -> Wait:
    """Answer once the event is set."""

    async def wait() -> str:
        await event.wait()
        return answer

    return wait


def after_exit(child: Child) -> Wait:
    """Answer once the process itself has ended."""

    async def wait() -> str:
        await child.wait()
        return EXIT

    return wait


def after_probe(probe: Callable[[], Awaitable[bool]]) -> Wait:
    """Answer once the probe says yes."""

    async def wait() -> str:
        while True:
            await anyio.sleep(_PROBE_EVERY_S)
            if await probe():
                return PROBE

    return wait
