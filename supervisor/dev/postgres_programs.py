"""Run PostgreSQL's programs as the server's account, in an environment and a session of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import anyio
import anyio.abc

from supervisor.dev.failures import explained

if TYPE_CHECKING:
    from pathlib import Path

    from supervisor.dev.account import Account
    from supervisor.dev.postgres_binaries import PostgresBinaries

_STEP = "PostgreSQL"
_VARIABLE = "XDG_DATA_HOME"
_INTERRUPT_GRACE_S = 5.0
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[str | int]


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The programs together with the account that runs them.

    Attributes:
        binaries: the programs.
        account: the account; None for the running user.
    """

    binaries: PostgresBinaries
    account: Account | None

    async def run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Run a program to its end.

        A cancellation interrupts it as Ctrl-C would, and kills it when that does not help within 5 s: initdb
        then removes its half-made folder, and pg_ctl stops the server that it is waiting for.

        Args:
            program: its name, such as ``initdb``.
            arguments: its arguments.

        Returns:
            Its exit status, and what it printed.

        Raises:
            SupervisorError: ``dev.setup_failed`` when it cannot be started.
        """
        with explained(f"{_STEP}: {program}", _VARIABLE):
            process = await self._open(program, *arguments)
        try:
            return await _finish(process)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _interrupt(process)
            raise

    def give(self, path: Path) -> None:
        """Hand a file or folder over to the account.

        Raises:
            OSError: it cannot be handed over.
        """
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    async def _open(self, program: str, *arguments: str) -> anyio.abc.Process:
        identity: _Identity = {}
        if self.account is not None:
            identity = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return await anyio.open_process(
            [str(self.binaries.folder / program), *arguments],
            # The account may be unable to enter the folder that we were started in.
            cwd="/",
            env={**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal reaches its whole process group: the server must not be in ours.
            start_new_session=True,
            **identity,
        )


async def _finish(process: anyio.abc.Process) -> tuple[int, str]:
    chunks = [chunk async for chunk in process.stdout] if process.stdout is not None else []
    status = await process.wait()
    await process.aclose()
    return status, b"".join(chunks).decode("utf-8", "replace")


async def _interrupt(process: anyio.abc.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    with anyio.move_on_after(_INTERRUPT_GRACE_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
