"""`directus-supervisor dev`: set everything up, then run the real `run` command on it as a child."""

from __future__ import annotations

import http.client
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from supervisor.concurrency import one_error
from supervisor.dev.environment import DevEnvironment, provision
from supervisor.dev.progress import Progress, progress_for
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import Process

_ASK_EVERY_S: Final = 0.25
_ANSWER_S: Final = 2.0


def run_dev(project: Path, *, once: bool, fresh: bool) -> int:
    """Set up, boot, and stay until Ctrl-C.

    Args:
        project: folder of the deployment, with ``sql/`` and ``snapshots/``.
        once: end as soon as Directus has been ready, after a table of the phases.
        fresh: start over with an empty database.

    Returns:
        The status of the supervisor; 128 and the signal's number when the set-up was interrupted.
    """
    try:
        return anyio.run(_run, project, once, fresh)
    except SupervisorError as error:
        print(f"\n{error.failure.code}: {error.message}\n{error.remedy}", file=sys.stderr)  # noqa: T201
        return error.exit_code


async def _run(project: Path, once: bool, fresh: bool) -> int:
    return await _Session(project, once=once, fresh=fresh).run()


class _Session:
    """One call of the command, from the first signal handler to the last process."""

    def __init__(self, project: Path, *, once: bool, fresh: bool) -> None:
        self._project = project
        self._once = once
        self._fresh = fresh
        self._child: Process | None = None
        self._interrupted: signal.Signals | None = None
        self._setting_up = anyio.CancelScope()

    async def run(self) -> int:
        with one_error():
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear_signals)
                try:
                    return await self._provision_and_supervise(progress_for())
                finally:
                    group.cancel_scope.cancel()
        raise AssertionError("the task group returns or raises")

    async def _provision_and_supervise(self, progress: Progress) -> int:
        status = 0
        with self._setting_up:
            async with provision(self._project, fresh=self._fresh, progress=progress) as environment:
                status = await self._supervise(environment)
        if self._interrupted is not None and self._setting_up.cancelled_caught:
            return 128 + self._interrupted
        return status

    async def _supervise(self, environment: DevEnvironment) -> int:
        command = [sys.executable, "-m", "supervisor", "run", *(["--once"] if self._once else [])]
        # In a session of its own it gets each signal once, from here, and not from the terminal as well.
        with anyio.CancelScope(shield=True):
            async with await anyio.open_process(
                command,
                stdin=None,
                stdout=None,
                stderr=None,
                env=environment.environ,
                cwd=self._project,
                start_new_session=True,
            ) as self._child:
                if self._interrupted is not None:
                    self._child.send_signal(signal.SIGTERM)
                async with anyio.create_task_group() as group:
                    if not self._once:
                        group.start_soon(_greet, environment)
                    status = await self._child.wait()
                    group.cancel_scope.cancel()
        return status if status >= 0 else 128 - status

    async def _hear_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as numbers:
            async for number in numbers:
                self._interrupted = number
                if self._child is None:
                    self._setting_up.cancel()
                else:
                    with suppress(ProcessLookupError):
                        self._child.send_signal(signal.SIGTERM)


async def _greet(environment: DevEnvironment) -> None:
    while not await anyio.to_thread.run_sync(_is_ready, environment.health_url, abandon_on_cancel=True):  # noqa: ASYNC110 - another process
        await anyio.sleep(_ASK_EVERY_S)
    password = environment.admin_password or "(the one you have set)"
    lines = (
        "",
        f"  Directus is ready:  {environment.url}",
        f"  Log in as:          {environment.admin_email}  {password}",
        f"  Database:           {environment.database}",
        f"  Probes:             {environment.health_url}/readyz",
        "  Ctrl-C stops; the data stays. `directus-supervisor dev --fresh` starts over.",
        "",
    )
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201


def _is_ready(health_url: str) -> bool:
    connection = http.client.HTTPConnection(health_url.removeprefix("http://"), timeout=_ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
