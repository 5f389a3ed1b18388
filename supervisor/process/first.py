"""Waiting for the first of several things, each of which answers with its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from supervisor.concurrency import one_error
from supervisor.process.child import Child

EXIT: Final = "exit"
MESSAGE: Final = "message"
PROBE: Final = "probe"
# The HTTP probe is only the fallback for a process that does not speak on its channel.
_PROBE_EVERY_S: Final = 1.0
T = TypeVar("T")
Wait = Callable[[], Awaitable[T]]


async def first(*waits: Wait[T]) -> T:
    """The answer of the first of these to be done; the others are cancelled."""
    answers: list[T] = []
    with one_error():
        async with anyio.create_task_group() as group:

            async def run(wait: Wait[T]) -> None:
                answers.append(await wait())
                group.cancel_scope.cancel()

            for wait in waits:
                group.start_soon(run, wait)
    return answers[0]


def after_event(event: anyio.Event, answer: T) -> Wait[T]:
    """Answer once the event is set."""

    async def wait() -> T:
        await event.wait()
        return answer

    return wait


def after_exit(child: Child) -> Wait[str]:
    """Answer once the process itself has ended."""

    async def wait() -> str:
        await child.wait()
        return EXIT

    return wait


def after_probe(probe: Callable[[], Awaitable[bool]]) -> Wait[str]:
    """Answer once the probe says yes."""

    async def wait() -> str:
        while True:
            await anyio.sleep(_PROBE_EVERY_S)
            if await probe():
                return PROBE

    return wait
