"""The folder in which Node.js keeps compiled code between starts (``module.enableCompileCache``, Node 22.1).

What lies there is executed without another look, so it must be a folder into which nobody else can write: ours or
root's, and closed to everyone else. A read-only one, filled when the image was built, is as good.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = "directus-supervisor-node"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class CacheRefusedError(Exception):
    """The folder cannot be used; says why in half a sentence."""


def prepare_cache(configured: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The folder, made when it is not there yet.

    Args:
        configured: ``SUPERVISOR_COMPILE_CACHE_DIR``; None takes the cache folder of the user (XDG Base Directory).
        environ: names the home of the user.

    Returns:
        The folder; None when none was configured and the user has no folder for such things.

    Raises:
        CacheRefusedError: it cannot be made, or others could write to it.
    """
    parent = configured or _cache_home(environ)
    if parent is None:
        return None
    # A mounted volume belongs to whoever mounted it, and is often open to all; what is in this folder is ours alone.
    folder = parent / f"{_NAME}-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise CacheRefusedError(f"{folder} cannot be made: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise CacheRefusedError(f"{folder} is not a folder")
    if status.st_uid not in {0, os.geteuid()} or status.st_mode & _OTHERS_WRITE:
        raise CacheRefusedError(f"others can write to {folder}, from which code is run")
    return folder


def _cache_home(environ: Mapping[str, str]) -> Path | None:
    # A relative path is to be passed over, as the specification has it.
    for name, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        if (path := environ.get(name, "")).startswith("/"):
            return Path(path) / below
    return None
