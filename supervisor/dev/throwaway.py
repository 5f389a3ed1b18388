"""A server for one run: on a folder of the project's own, which every next run empties first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from supervisor.dev import lock
from supervisor.dev.account import server_account
from supervisor.dev.failures import explained, setup_failed
from supervisor.dev.paths import claim_data_folder, project_data_folder, wipe_data_folder
from supervisor.dev.postgres import PostgresCluster

if TYPE_CHECKING:
    from supervisor.dev.progress import Progress

_LOCK_FILE: Final = "dry-run.lock"
_VARIABLE: Final = "XDG_DATA_HOME"


@asynccontextmanager
async def throwaway_cluster(
    project: Path, environ: Mapping[str, str], progress: Progress, *, keep: bool
) -> AsyncIterator[PostgresCluster]:
    """Start a server, and remove it with its data at the end of the block.

    A server that a killed run has left behind is ended first.

    Args:
        project: the folder of the deployment: each has one such server at a time.
        environ: decides on the folder.
        progress: the display.
        keep: leave the server running.

    Raises:
        SupervisorError: ``dev.setup_failed`` naming the step.
    """
    data = project_data_folder(project.resolve(), environ)
    folder = data.with_name(f"{data.name}-dry-run")
    # The server's account has to pass through, so others may enter, but not list.
    claim_data_folder(folder, mode=0o700 if server_account() is None else 0o711)
    async with AsyncExitStack() as stack:
        _hold(stack, folder, project)
        cluster = PostgresCluster(folder / "postgres", durable=False)
        await _clear(folder, cluster)
        try:
            with progress.step("PostgreSQL") as step:
                await cluster.start()
                step.say(f"version {cluster.version} on {cluster.host}:{cluster.port}")
            yield cluster
        finally:
            if not keep:
                with anyio.CancelScope(shield=True):
                    await _clear(folder, cluster)


async def _clear(folder: Path, cluster: PostgresCluster) -> None:
    await cluster.stop()
    await anyio.to_thread.run_sync(lambda: wipe_data_folder(folder, keep=frozenset({_LOCK_FILE})))


def _hold(stack: AsyncExitStack, folder: Path, project: Path) -> None:
    with explained(f"data folder {folder}", _VARIABLE):
        try:
            stack.enter_context(lock.hold(folder / _LOCK_FILE))
        except lock.HeldByAnotherProcessError as held:
            raise setup_failed(
                "project",
                f"process {held.pid or 'unknown'} already runs a dry run of {project}",
                remedy="Wait for it, or end it with Ctrl-C.",
                pid=held.pid,
            ) from None
