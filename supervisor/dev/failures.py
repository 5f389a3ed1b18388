"""How a step of the development set-up fails: one error naming the step, its last output and the remedy."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from supervisor import errors
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TAIL_LINES = 15
_TAIL_BYTES = 64 * 1024

_REMEDY_BY_ERRNO = {
    errno.ENOSPC: "Free some disk space, or point {variable} to a larger disk.",
    errno.EDQUOT: "Your disk quota is used up: free some space, or point {variable} to another disk.",
    errno.EACCES: "Give yourself write permission there, or set {variable} to a folder of your own.",
    errno.EPERM: "Give yourself write permission there, or set {variable} to a folder of your own.",
    errno.EROFS: "That file system is read-only: set {variable} to a folder that can be written to.",
    errno.ENOTDIR: "A file stands where a folder is needed: remove it, or set {variable} to another folder.",
    errno.EEXIST: "A file stands where a folder is needed: remove it, or set {variable} to another folder.",
}


def last_lines(text: str, count: int = _TAIL_LINES) -> str:
    """The last lines of a program's output that are not empty.

    Args:
        text: the output.
        count: how many lines at most.

    Returns:
        The lines joined by newlines; an empty string when there were none.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def read_tail(path: Path) -> str:
    """The end of a log file, at most 64 KiB; an empty string when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def setup_failed(
    step: str, message: str, *, output: str = "", remedy: str | None = None, **facts: object
) -> SupervisorError:
    """The error of a step that could not be done.

    Args:
        step: what was being done, in a few words.
        message: what is wrong, naming the file or variable.
        output: what the failed program printed; its last lines become part of the message.
        remedy: what to do about it.
        facts: further fields for the log line.

    Returns:
        The error, for the caller to raise.
    """
    tail = last_lines(output)
    text = f"{step}: {message}" + (f"\n{tail}" if tail else "")
    return SupervisorError(errors.DEV_SETUP_FAILED, text, remedy=remedy, step=step, **facts)


@contextmanager
def explained(step: str, variable: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into the error of a step.

    Args:
        step: what is being done, in a few words.
        variable: the environment variable that moves the folder concerned elsewhere.

    Raises:
        SupervisorError: ``dev.setup_failed``, in place of the ``OSError``.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDY_BY_ERRNO.get(error.errno or 0)
        place = f"{error.filename}: " if error.filename else ""
        raise setup_failed(
            step,
            f"{place}{error.strerror or error}",
            remedy=remedy.format(variable=variable) if remedy else None,
        ) from error
