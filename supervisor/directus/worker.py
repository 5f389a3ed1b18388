"""The one process in which Directus' own steps run: what takes long of each is the loading of Directus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio

from supervisor.configuration import Configuration
from supervisor.directus.commands import OutputLog, StepResult
from supervisor.directus.node import told_ahead, with_ahead
from supervisor.directus.strays import STEP_APPLICATION_NAME
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, ExitStatus, running
from supervisor.process.first import after_event, after_exit, first
from supervisor.process.init import Init

_SCRIPT: Final = Path(__file__).with_name("worker.mjs")
_DONE: Final = {"type": "done"}
_log = get_log("directus")


async def _no_room_needed() -> None:
    pass


class Worker:
    """Runs steps one after the other in one process, which is started for the first of them.

    As a context manager it ends the process with the context; a step that fails, takes too long or is cancelled ends
    it at once.

    Args:
        configuration: environment, folder, limits.
        init: starts and reaps the process.
        make_room: called before the process is started, as it takes memory.
    """

    def __init__(
        self, configuration: Configuration, init: Init, make_room: Callable[[], Awaitable[None]] = _no_room_needed
    ) -> None:
        self._configuration = configuration
        self._init = init
        self._make_room = make_room
        self._stack = AsyncExitStack()
        self._child: Child | None = None
        self._output: OutputLog | None = None
        self._hear: Callable[[object], None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    @property
    def started(self) -> bool:
        """Whether the process is there."""
        return self._child is not None

    def can(self, module: str) -> bool:
        """Whether this Directus has a module that a step is made of; other versions may keep it elsewhere."""
        return (self._configuration.installation.api / "dist" / module).is_file()

    async def end(self) -> None:
        """End the process."""
        self._child = None
        with anyio.CancelScope(shield=True):
            await self._stack.pop_all().aclose()

    async def run(
        self,
        step: str,
        request: Mapping[str, Any],
        on_message: Callable[[Child, object], None] = lambda _child, _message: None,
    ) -> StepResult:
        """Run one step to its end, at most ``SUPERVISOR_STEP_TIMEOUT_S``.

        Args:
            step: its name for the log.
            request: what the script is asked for.
            on_message: called with the child and each message that it sends meanwhile.

        Returns:
            How it ended; the status of a step that is done is that of success, though its process goes on.

        Raises:
            SupervisorError: when the program cannot be started.
        """
        done = anyio.Event()
        try:
            child, output = self._child, self._output
            if child is None or output is None:
                child, output = await self._start()
            output.begin(step)

            def hear(message: object) -> None:
                if message == _DONE:
                    done.set()
                else:
                    on_message(child, message)

            self._hear = hear
            _log.emit(events.DIRECTUS_STEP, step=step, pid=child.pid)
            child.send(request)
            how = None
            with anyio.move_on_after(self._configuration.settings.step_timeout_s):
                how = await first(after_event(done, "done"), after_exit(child))
            status = None
            if how is not None:
                status = ExitStatus(0, None) if done.is_set() else await child.wait()
        except BaseException:
            await self.end()
            raise
        if not done.is_set():
            # Its last words are complete once it has ended.
            await self.end()
        return StepResult(step, status, tuple(output.last_lines))

    def _deliver(self, message: object) -> None:
        if self._hear is not None:
            self._hear(message)

    async def _start(self) -> tuple[Child, OutputLog]:
        await self._make_room()
        configuration, installation = self._configuration, self._configuration.installation
        output = OutputLog("directus", "directus")

        spec = ChildSpec(
            name="directus-steps",
            argv=with_ahead((str(installation.node), str(_SCRIPT), str(installation.api))),
            environment=told_ahead(
                configuration, {**configuration.step_environment, "PGAPPNAME": STEP_APPLICATION_NAME}, leash=True
            ),
            cwd=installation.directory,
            stop_timeout_s=configuration.settings.stop_timeout_s,
            consume=output.consume,
            on_message=self._deliver,
            ends=True,
        )
        child = await self._stack.enter_async_context(running(spec, self._init))
        self._child, self._output = child, output
        return child, output
