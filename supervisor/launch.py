"""How Directus is started, and its start ahead of time.

Most of Directus' start is Node.js loading its modules, which touches no database. So its process is started before our
own imports and the phases; it loads the modules and waits (``directus/ahead.mjs``) until the phases are done. What the
phases may do to the database is nothing that it has seen. Where they need the memory, it is ended, and started later.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio

from supervisor.directus.commands import OutputLog
from supervisor.directus.compile_cache import CacheRefusedError, find_cache
from supervisor.directus.node import compile_command, compile_environment, room_for_two, told_ahead, with_ahead
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, Spawned, running
from supervisor.process.last_words import last_words

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.process.init import Init

DIRECTUS: Final = "directus"
_UNFILLED: Final = {"type": "unfilled"}
_log = get_log("process")


class Launch:
    """The command line, the environment and the output of Directus, or of the command in its place.

    As a context manager it ends, with the context, what was started ahead and never came to be used.

    Args:
        configuration: everything that was configured.

    Attributes:
        spec: how it is started.
        output: what it writes.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        settings, installation = configuration.settings, configuration.installation
        self.output = OutputLog(DIRECTUS, DIRECTUS)
        # The process of another command may not even be Node.js.
        argv = settings.command or with_ahead(installation.command("start"))
        environment = configuration.child_environment
        self.spec = ChildSpec(
            name=DIRECTUS,
            argv=argv,
            environment=environment if settings.command else told_ahead(configuration, environment),
            cwd=installation.directory,
            stop_timeout_s=settings.stop_timeout_s,
            consume=self.output.consume,
        )
        self._spawned: tuple[ChildSpec, Spawned] | None = None
        self._child: Child | None = None
        self._hold = AsyncExitStack()
        self._hear: Callable[[object], None] | None = None
        self._unfilled = anyio.Event()

    def _deliver(self, message: object) -> None:
        if message == _UNFILLED:
            self._unfilled.set()
        elif self._hear is not None:
            self._hear(message)

    @property
    def may_start_ahead(self) -> bool:
        """Whether nothing that comes before its turn can change what it loads, and the setting lets it."""
        configuration = self._configuration
        settings = configuration.settings
        return settings.start_ahead and not settings.command and not configuration.programs.steps

    def start_ahead(self) -> None:
        """Start the process where it may; there need not be an event loop yet."""
        if not self.may_start_ahead:
            return
        configuration = self._configuration
        modules = configuration.installation.api / "dist" / "cli" / "index.js"
        environment = told_ahead(configuration, configuration.child_environment, wait=modules)
        spec = replace(self.spec, environment=environment, on_message=self._deliver)
        # What is wrong is told when its turn has come, after the phases.
        with suppress(SupervisorError):
            self._spawned = (spec, Spawned(spec))

    async def adopt(self, init: Init) -> None:
        """Hear the process that was started ahead; to be called before the init reaps for the first time."""
        if self._spawned is not None:
            (spec, spawned), self._spawned = self._spawned, None
            self._child = await self._hold.enter_async_context(running(spec, init, spawned))
            _log.emit(events.DIRECTUS_AHEAD, pid=self._child.pid)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._let_go()

    async def make_room(self) -> None:
        """End what was started ahead when memory is short, as another process of Directus is to be started."""
        if not room_for_two():
            await self._let_go()

    async def _let_go(self) -> None:
        self._child = None
        with anyio.CancelScope(shield=True):
            await self._hold.pop_all().aclose()

    @asynccontextmanager
    async def start(self, spec: ChildSpec, init: Init) -> AsyncIterator[Child]:
        """Run Directus for the duration of the context: the one that was started ahead if it still waits, else anew."""
        child = self._child
        self._child = None
        self._hear = spec.on_message
        if child is None or not child.running:
            await self._let_go()
            async with running(replace(spec, on_message=self._deliver), init) as child:
                yield child
            return
        async with self._hold.pop_all():
            # Its life begins here, with all that is counted from then on.
            child.started_s = time.monotonic()
            child.send("go")
            yield child

    async def fill_cache(self, init: Init) -> None:
        """Fill the compile cache once Directus says that it is not filled; of low priority, and never in its way."""
        await self._unfilled.wait()
        configuration = self._configuration
        environment = configuration.child_environment
        try:
            own = find_cache(configuration.settings.compile_cache_dir, environment).own
        except CacheRefusedError:
            own = None
        if own is None:
            return
        output = OutputLog("compile", "directus")
        spec = ChildSpec(
            name="compile",
            argv=compile_command(configuration.installation),
            environment=compile_environment(environment, own, leash=True),
            cwd=configuration.installation.directory,
            stop_timeout_s=configuration.settings.stop_timeout_s,
            consume=output.consume,
            # It says nothing, but learns of our end by the channel.
            on_message=lambda _message: None,
            ends=True,
        )
        began = time.monotonic()
        try:
            async with running(spec, init) as child:
                status = await child.wait()
        except (SupervisorError, OSError) as error:
            _log.emit(events.CACHE_NOT_FILLED, message=str(error))
            return
        if status.shell_code == 0:
            _log.emit(events.CACHE_FILLED, path=str(own), duration_s=round(time.monotonic() - began, 3))
        else:
            _log.emit(
                events.CACHE_NOT_FILLED, message=f"it ended with {status}: {last_words(output.last_lines) or 'no word'}"
            )
