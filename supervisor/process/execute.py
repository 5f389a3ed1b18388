"""Become another program, or say in one sentence why that is not possible.

The rules are those of ``execvp(3)`` and of a POSIX shell (XCU 2.9.1.4): PATH is searched unless the name has a
slash, a text file without ``#!`` is run by ``/bin/sh``, 127 is "not found", and 126 is "found, but it cannot be run".
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127

_SHELL: Final = "/bin/sh"
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT})
_HEAD_BYTES: Final = 65_536
_PT_INTERP: Final = 3


def execute(argv: list[str]) -> tuple[int, str]:
    """Replace this process by a program; returns only when that failed.

    Args:
        argv: the program, by path or by a name to be searched in PATH, and its arguments.

    Returns:
        The exit status, 126 or 127, and one sentence that names the program and the reason.
    """
    program = argv[0]
    if not program:
        return NOT_FOUND, "the name of the program is empty"
    named = "/" in program
    folders = [] if named else os.environ.get("PATH", os.defpath).split(":")
    denied: str | None = None
    for path in [program] if named else [f"{folder or '.'}/{program}" for folder in folders]:
        reason = _try(path, argv)
        if reason in _ABSENT and not os.access(path, os.F_OK):
            continue
        if not named and reason == errno.EACCES:
            # As a shell does: what may not be executed does not hide what comes later in PATH.
            denied = denied or (None if _is_folder(path) else path)
            continue
        return explain(path, reason)
    if denied:
        return explain(denied, errno.EACCES)
    if named:
        return NOT_FOUND, f"{program} does not exist"
    return NOT_FOUND, f"{program} is not in any folder of PATH ({':'.join(folders)})"


def _try(path: str, argv: list[str]) -> int:
    try:
        os.execv(path, argv)  # noqa: S606 - a shell is what it must not be
    except OSError as error:
        if error.errno == errno.ENOEXEC and _is_text(path):
            return _try(_SHELL, [_SHELL, path, *argv[1:]])
        return error.errno or errno.EINVAL


def explain(path: str, reason: int) -> tuple[int, str]:
    """Why a file that is there could not be executed.

    Args:
        path: the file.
        reason: the ``errno`` that ``execve(2)`` gave.

    Returns:
        The exit status, 126 or 127, and one sentence.
    """
    if reason in _ABSENT:
        missing = _interpreter(path)
        if missing.endswith("\r"):
            return NOT_FOUND, f"{path} has CR LF line endings: its interpreter {missing!r} does not exist"
        if missing:
            return NOT_FOUND, f"{path} cannot be executed: it needs {missing}, which does not exist"
    if reason == errno.EACCES and _is_folder(path):
        reason = errno.EISDIR
    return NOT_EXECUTABLE, f"{path} cannot be executed: {os.strerror(reason)}"


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - pathlib costs more than all of this
    except OSError:
        return False


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(_HEAD_BYTES)
    except OSError:
        return b"\0"


def _is_text(path: str) -> bool:
    """Whether a shell would take the file for a script: no NUL in its first line."""
    return b"\0" not in _head(path).partition(b"\n")[0]


def _interpreter(path: str) -> str:
    """The program that the kernel loads to run this one: named after ``#!``, or the dynamic loader of an ELF file."""
    head = _head(path)
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].strip(b" \t").replace(b"\t", b" ").split(b" ")
        return os.fsdecode(words[0])
    return os.fsdecode(_elf_interpreter(head)) if head.startswith(b"\x7fELF") else ""


def _elf_interpreter(head: bytes) -> bytes:
    """The PT_INTERP segment of an ELF file (``elf(5)``); empty when there is none."""
    wide = head[4:5] == b"\x02"
    big = head[5:6] == b"\x02"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], "big" if big else "little")

    table = number(0x20, 8) if wide else number(0x1C, 4)
    entry_size = number(0x36 if wide else 0x2A, 2)
    for index in range(number(0x38 if wide else 0x2C, 2)):
        entry = table + index * entry_size
        if number(entry, 4) == _PT_INTERP:
            start = number(entry + 8, 8) if wide else number(entry + 4, 4)
            size = number(entry + 0x20, 8) if wide else number(entry + 0x10, 4)
            return head[start : start + size].rstrip(b"\0")
    return b""
