"""The folders in which Node.js keeps compiled code between starts (``module.enableCompileCache``, Node 22.8).

What lies there is executed without another look, so nobody but this user and root may be able to write to it. There
are two kinds: a folder of this user's own, which Node.js writes to; and filled ones that it only reads, such as the one
that root fills when an image is built. Node.js names what it keeps by the user, so it finds a folder of root's only by
a link in the user's own (``ahead.mjs``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor import __version__

if TYPE_CHECKING:
    from supervisor.directus.install import Installation

_NAME: Final = "directus-supervisor-node"
_ROOT: Final = 0
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class CacheRefusedError(Exception):
    """The folder cannot be used; says why in half a sentence."""


@dataclass(frozen=True, slots=True)
class CompileCache:
    """Where compiled code is kept.

    Attributes:
        own: the folder of this user, which can be written to; None when there is none.
        filled: folders that can only be read from, the best first.
    """

    own: Path | None
    filled: tuple[Path, ...] = ()


def find_cache(configured: Path | None, environ: Mapping[str, str]) -> CompileCache:
    """Where compiled code is kept; the user's own folder is made when it is not there yet.

    Args:
        configured: ``SUPERVISOR_COMPILE_CACHE_DIR``; None takes the cache folder of the user (XDG Base Directory).
        environ: names the home of the user.

    Raises:
        CacheRefusedError: a folder was configured, or found, that cannot be made or to which others could write; not
            where there is a folder of root's in its place.
    """
    home = _cache_home(environ)
    parent = configured or home
    if parent is None:
        return CompileCache(None)
    filled = tuple(_filled_in(parent))
    try:
        return CompileCache(own_cache(parent), filled)
    except CacheRefusedError:
        if not filled:
            raise
    # What an image brings is read-only; all that is needed beside it is a place for a link.
    if home is not None and home != parent:
        with suppress(CacheRefusedError):
            return CompileCache(own_cache(home), filled)
    return CompileCache(None, filled)


def own_cache(parent: Path) -> Path:
    """The folder of this user, made when it is not there yet; what root makes can be read by everybody.

    Raises:
        CacheRefusedError: it cannot be made or written to, or others could write to it.
    """
    # A mounted volume belongs to whoever mounted it, and is often open to all; what is in this folder is ours alone.
    folder = _folder_of(os.geteuid(), parent)
    try:
        folder.mkdir(mode=0o755 if os.geteuid() == _ROOT else 0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise CacheRefusedError(f"{folder} is not a folder") from None
    except OSError as error:
        raise CacheRefusedError(f"{folder} cannot be made: {error.strerror}") from None
    _refuse_unsafe(folder)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise CacheRefusedError(f"{folder} cannot be written to")
    return folder


def parent_of_cache(configured: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The folder that is to hold the user's own; None when none was configured and there is no home."""
    return configured or _cache_home(environ)


def filled_mark(installation: Installation) -> str:
    """Name of the file that says that a folder holds all of this Directus, as this version of ours fills it."""
    what = f"{__version__}\0{installation.version}\0{installation.api}"
    return f"filled-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def filled_with(cache: CompileCache, mark: str) -> list[Path]:
    """Node.js' own folders, one for each of its versions and users, in the filled ones that have this mark."""
    found = []
    for folder in cache.filled:
        for path in sorted(folder.glob(f"*/{mark}")):
            with suppress(CacheRefusedError):
                _refuse_unsafe(path.parent)
                found.append(path.parent)
    return found


def _filled_in(parent: Path) -> Iterator[Path]:
    for user in dict.fromkeys((os.geteuid(), _ROOT)):
        folder = _folder_of(user, parent)
        writable = user == os.geteuid() and os.access(folder, os.W_OK, effective_ids=True)
        with suppress(CacheRefusedError):
            if not writable:
                _refuse_unsafe(folder)
                yield folder


def _folder_of(user: int, parent: Path) -> Path:
    return parent / f"{_NAME}-{user}"


def _refuse_unsafe(folder: Path) -> None:
    try:
        status = folder.lstat()
    except OSError as error:
        raise CacheRefusedError(f"{folder} cannot be looked at: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise CacheRefusedError(f"{folder} is not a folder")
    if status.st_uid not in {_ROOT, os.geteuid()} or status.st_mode & _OTHERS_WRITE:
        raise CacheRefusedError(f"others can write to {folder}, from which code is run")


def _cache_home(environ: Mapping[str, str]) -> Path | None:
    # A relative path is to be passed over, as the specification has it.
    for name, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        if (path := environ.get(name, "")).startswith("/"):
            return Path(path) / below
    return None
