"""A lock between processes: ``flock(2)`` on a file that names its holder.

The kernel gives the lock up when the holder dies, however it dies, so there is never a stale one to remove.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

_POLL_S = 0.2


class HeldByAnotherProcessError(Exception):
    """The lock is taken.

    Attributes:
        pid: the holder, or None when it has not written its id yet.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is locked by process {pid}")
        self.pid = pid


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock for the block, without waiting for it.

    Args:
        path: the lock file; made when it is missing, never removed.

    Raises:
        HeldByAnotherProcessError: another process holds it.
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldByAnotherProcessError(path, _holder(descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def wait_for(path: Path, on_wait: Callable[[int | None], None]) -> AsyncIterator[None]:
    """Hold the lock for the block, waiting for it as long as it takes.

    Args:
        path: the lock file.
        on_wait: called once with the holder's process id when the lock is not free at once.

    Raises:
        OSError: the file cannot be made.
    """
    told = False
    while True:
        lock = hold(path)
        try:
            lock.__enter__()
        except HeldByAnotherProcessError as held:
            if not told:
                on_wait(held.pid)
                told = True
            # Polling stays cancellable; a thread blocked in flock would not be.
            await anyio.sleep(_POLL_S)
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
