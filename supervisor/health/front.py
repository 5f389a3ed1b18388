"""Everything by which a run is seen and steered from outside, for as long as it lasts."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio

from supervisor.concurrency import one_error
from supervisor.configuration import Configuration
from supervisor.directus.ping import ping
from supervisor.errors import SupervisorError
from supervisor.health.access import Access
from supervisor.health.app import App
from supervisor.health.controls import Controls
from supervisor.health.local_socket import control_socket
from supervisor.health.probes import Probes
from supervisor.health.server import bind, serving
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import setup
from supervisor.notify import Notifier
from supervisor.status.observatory import Observatory
from supervisor.status.recorder import Recorder

_HEALTH_PATH: Final = "/server/health"
_HEALTH_S: Final = 10.0
_WELL: Final = 200


@asynccontextmanager
async def answering(
    configuration: Configuration, lifecycle: Lifecycle, reload: Callable[[], bool]
) -> AsyncIterator[None]:
    """Hear the run, and answer on the health port and the control socket for the duration of the context.

    Args:
        configuration: addresses, limits and the token.
        lifecycle: the state; moved to failed when the context ends with a failure, so that whoever looks sees it.
        reload: restarts Directus in good order; False where there is nothing to restart.

    Raises:
        SupervisorError: ``health.port_taken``.
    """
    settings = configuration.settings
    recorder, notifier = Recorder(), Notifier(os.environ)
    probes = Probes(lifecycle, settings, time.monotonic)
    observatory = Observatory(recorder, configuration.installation.version, ready=lambda: probes.ready)
    app = App(lifecycle, probes, observatory, Controls(reload), Access(configuration.status_token))
    notifier.follow(lifecycle)
    try:
        with setup.heard_by(recorder), one_error():
            async with AsyncExitStack() as stack:
                listener = stack.enter_context(bind(settings.health_host, settings.health_port))
                local = stack.enter_context(control_socket(settings.socket, os.environ))
                group = await stack.enter_async_context(anyio.create_task_group())
                # Left in the reverse order: nothing is served any more when the rest is ended.
                stack.callback(group.cancel_scope.cancel)
                await stack.enter_async_context(serving(app, listener))
                if local is not None:
                    await stack.enter_async_context(serving(app, local))
                if notifier.watchdog_s is not None:
                    group.start_soon(notifier.keep_alive)
                if settings.ready_health_interval_s:
                    group.start_soon(_ask_health, configuration, lifecycle, probes)
                stack.callback(recorder.changes.end)
                try:
                    yield
                except SupervisorError:
                    # While there is still somebody to answer.
                    if not lifecycle.ending:
                        lifecycle.advance(State.FAILED, "a failure ended the run")
                    raise
    finally:
        notifier.close()


async def _ask_health(configuration: Configuration, lifecycle: Lifecycle, probes: Probes) -> None:
    while True:
        if lifecycle.state is State.READY:
            probes.directus_healthy = await ping(configuration.address, _HEALTH_S, _HEALTH_PATH) == _WELL
        else:
            probes.directus_healthy = None
        await anyio.sleep(configuration.settings.ready_health_interval_s)
