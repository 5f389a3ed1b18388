"""The control socket: where it is, how it is made, and how its other side finds it.

Its file can be opened by its owner alone. A file that nobody listens on any more is replaced, one of a living
supervisor is not.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from supervisor.logs import events
from supervisor.logs.setup import get_log

NAME: Final = "directus-supervisor.sock"
_BACKLOG: Final = 16
_CONNECT_S: Final = 1.0
_log = get_log("health")


def places(configured: Path | None, environ: Mapping[str, str]) -> Sequence[Path]:
    """Where the socket may be, the best place first: a read-only root has ``/run`` or a temporary folder mounted.

    Args:
        configured: ``SUPERVISOR_SOCKET``, which goes before all others.
        environ: the process environment.
    """
    folders = [Path("/run"), Path(environ.get("XDG_RUNTIME_DIR") or "/run"), Path(tempfile.gettempdir())]
    defaults = [folder / NAME for folder in dict.fromkeys(folders)]
    return [configured, *defaults] if configured is not None else defaults


@contextmanager
def control_socket(configured: Path | None, environ: Mapping[str, str]) -> Iterator[socket.socket | None]:
    """Listen at the first place where that is possible, for the duration of the context.

    Args:
        configured: ``SUPERVISOR_SOCKET``; that it cannot be had is logged.
        environ: the process environment.

    Yields:
        The listening socket; None when there is no place for one, which is logged.
    """
    found = _first_place(configured, environ)
    if found is None:
        yield None
        return
    listener, path = found
    with listener:
        try:
            yield listener
        finally:
            with suppress(OSError):
                path.unlink()


def _first_place(configured: Path | None, environ: Mapping[str, str]) -> tuple[socket.socket, Path] | None:
    candidates = places(configured, environ)
    reason = ""
    for path in candidates:
        try:
            listener = _listen(path)
        except OSError as error:
            reason = reason or f"{path}: {error.strerror or error}"
            continue
        if configured is not None and path != configured:
            _tell_unavailable(configured, f"{reason}; it is at {path} instead")
        _log.emit(events.CONTROL_LISTENING, path=str(path))
        return listener, path
    _tell_unavailable(candidates[0], reason)
    return None


def _tell_unavailable(path: Path, reason: str) -> None:
    remedy = "Set SUPERVISOR_SOCKET to a path in a folder that this user may write to, shorter than 100 characters."
    _log.emit(events.CONTROL_UNAVAILABLE, path=str(path), reason=reason, remedy=remedy)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Bound under a name of its own, and only then moved to its place: nobody meets it half made.
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):
            fresh.unlink()
        before = os.umask(0o177)
        try:
            listener.bind(str(fresh))
        finally:
            os.umask(before)
        try:
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            if is_alive(path):
                raise OSError(errno.EADDRINUSE, "another supervisor answers there")
            fresh.rename(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    except OSError:
        listener.close()
        raise
    except (ValueError, UnicodeError) as error:
        listener.close()
        raise OSError(errno.EINVAL, str(error)) from None
    return listener


def is_alive(path: Path) -> bool:
    """Whether somebody listens there; what is there and is no socket counts, for it must not be replaced."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return True
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(_CONNECT_S)
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            # Its queue is full, or it belongs to somebody else.
            return True
    return True
