"""`compile`: fills Node.js' compile cache, for the build of an image or a volume; needs and touches no database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from supervisor import errors
from supervisor.directus.compile_cache import CacheRefusedError, own_cache, parent_of_cache
from supervisor.directus.install import Installation, find_installation
from supervisor.directus.node import compile_command, compile_environment
from supervisor.errors import ExitCode, SupervisorError
from supervisor.settings import PREFIX, load_settings

_MEGABYTE: Final = 1_000_000
# Twice what Directus 11.17.4 takes, on a file system with blocks of 4 KB.
_NEEDED_BYTES: Final = 48 * _MEGABYTE
_NEEDED_FILES: Final = 8_000
_LIMIT_S: Final = 600.0
_LAST_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it.

    Attributes:
        folder: the folder that Node.js made for this version, this kind of processor and this user.
        files: how many lie in it.
        bytes: their size, together.
        written: how many of them were written now.
    """

    folder: Path
    files: int
    bytes: int
    written: int


def run_compile(environ: Mapping[str, str], cwd: Path) -> int:
    """Fill the folder that ``run`` would use.

    Args:
        environ: the process environment.
        cwd: the working directory.

    Returns:
        0, or the status of the failure, which is told on stderr.
    """
    # As PID 1 there is no end by a signal without a handler; what has begun in Node.js ends with us.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    began = time.monotonic()
    try:
        loaded = load_settings(environ, cwd)
        if loaded.problems:
            raise SupervisorError(errors.CONFIG_INVALID, "; ".join(loaded.problems))
        settings = loaded.settings
        installation = find_installation(settings.directus_dir, settings.node, environ, cwd)
        filled = fill_cache(installation, settings.compile_cache_dir, environ)
    except SupervisorError as error:
        print(f"{error.failure.code}: {error.message}\n{error.remedy}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(  # noqa: T201
        f"{filled.folder}: {filled.files} files, {filled.bytes / _MEGABYTE:.1f} MB, {filled.written} of them written "
        f"now, in {time.monotonic() - began:.1f} s"
    )
    return ExitCode.STOPPED


def fill_cache(installation: Installation, configured: Path | None, environ: Mapping[str, str]) -> Filled:
    """Fill the folder of this user.

    Args:
        installation: whose code is compiled.
        configured: ``SUPERVISOR_COMPILE_CACHE_DIR``; None takes the cache folder of the user.
        environ: the process environment; a ``NODE_COMPILE_CACHE`` in it goes before both.

    Raises:
        SupervisorError: ``compile.failed``.
    """
    own = None
    if not environ.get("NODE_COMPILE_CACHE"):
        own = _folder(configured, environ)
        _refuse_full(own)
    # Loading some modules makes folders in the home of the user: none is to be left in the layer of an image.
    with tempfile.TemporaryDirectory() as home:
        node = {name: text for name, text in environ.items() if not name.startswith((PREFIX, "NODE_CHANNEL_"))}
        said, output = _run(installation, compile_environment({**node, "HOME": home}, own))
    match said:
        case {"folder": str(folder), "files": int(files), "bytes": int(size), "written": int(written)}:
            return Filled(Path(folder), files, size, written)
        case {"failure": str(failure)}:
            raise SupervisorError(errors.COMPILE_FAILED, failure)
    last = " / ".join(output.splitlines()[-_LAST_LINES:])
    raise SupervisorError(errors.COMPILE_FAILED, f"Node.js ended before it had filled the cache: {last or 'no word'}")


def _folder(configured: Path | None, environ: Mapping[str, str]) -> Path:
    parent = parent_of_cache(configured, environ)
    if parent is None:
        raise SupervisorError(
            errors.COMPILE_FAILED,
            "No folder to fill: SUPERVISOR_COMPILE_CACHE_DIR is not set, nor is HOME",
            remedy="Name the folder in SUPERVISOR_COMPILE_CACHE_DIR, here and where `run` is to use it.",
        )
    try:
        return own_cache(parent)
    except CacheRefusedError as error:
        raise SupervisorError(errors.COMPILE_FAILED, f"The cache cannot be filled: {error}") from None


def _refuse_full(folder: Path) -> None:
    if next(folder.glob("*/filled-*"), None) is not None:
        return
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    # Some file systems count no files.
    if free < _NEEDED_BYTES or (status.f_files and status.f_favail < _NEEDED_FILES):
        raise SupervisorError(
            errors.COMPILE_FAILED,
            f"{folder} has room for {free / _MEGABYTE:.0f} MB and {status.f_favail} files; the cache may take "
            f"{_NEEDED_BYTES // _MEGABYTE} MB and {_NEEDED_FILES} files",
            remedy="Make room, or name a folder on a larger device in SUPERVISOR_COMPILE_CACHE_DIR.",
        )


def _run(installation: Installation, environment: Mapping[str, str]) -> tuple[object, str]:
    # What a module may print goes to stdout, so the answer takes another way.
    answer = os.memfd_create("compile")
    try:
        done = subprocess.run(  # noqa: S603 - the configured Node.js and a script of ours
            [*compile_command(installation), str(answer)],
            env=dict(environment),
            cwd=installation.directory,
            pass_fds=[answer],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
        return json.loads(os.pread(answer, os.fstat(answer).st_size, 0) or b"null"), done.stdout
    except subprocess.TimeoutExpired:
        raise SupervisorError(errors.COMPILE_FAILED, f"Node.js was not done after {_LIMIT_S:.0f} s") from None
    except OSError as error:
        raise SupervisorError(errors.COMPILE_FAILED, f"{installation.node} cannot be run: {error.strerror}") from None
    finally:
        os.close(answer)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    # The next one must not break into what this one leads to.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
