"""Where the development environment keeps its things.

A cache that all projects share (Directus, npm's own cache) and a data folder per project (the database, the
login, uploads), in the places that the XDG Base Directory Specification 0.8 gives them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.dev.account import Account, can_enter, server_account
from supervisor.dev.failures import explained, setup_failed

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "directus-supervisor"
MARKER = ".directus-supervisor-data"
_ROOT_DATA = Path("/var/lib")
_ROOT_CACHE = Path("/var/cache")


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder that all projects of this user share; it is not made by this call.

    Args:
        environ: the environment; the process's own when not given.
    """
    return _base(environ, "XDG_CACHE_HOME", Path(".cache")) / NAME


def data_root(environ: Mapping[str, str] | None = None, account: Account | None = None) -> Path:
    """The folder that holds one data folder per project; it is not made by this call.

    Args:
        environ: the environment; the process's own when not given.
        account: the account that the server runs as when it is not the running user's.

    Returns:
        ``$XDG_DATA_HOME/directus-supervisor``; a folder below ``/var/lib`` when the account cannot enter it.
    """
    own = _base(environ, "XDG_DATA_HOME", Path(".local/share")) / NAME
    if account is None or can_enter(own, account):
        return own
    return _ROOT_DATA / NAME


def shared_cache_folder(account: Account | None, environ: Mapping[str, str] | None = None) -> Path:
    """A cache folder that the server's account can enter; it is not made by this call.

    Args:
        account: the account that the server runs as when it is not the running user's.
        environ: the environment; the process's own when not given.
    """
    own = cache_folder(environ)
    if account is None or can_enter(own, account):
        return own
    return _ROOT_CACHE / NAME


def project_data_folder(project: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The data folder of one project; it is not made by this call.

    Args:
        project: the project's folder. Two projects of the same name differ in the hash of their full paths.
        environ: the environment; the process's own when not given.
    """
    resolved = project.resolve()
    digest = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", resolved.name).strip("-.")[:40] or "project"
    return data_root(environ, server_account()) / f"{digest}-{name}"


def make_folder(folder: Path, *, variable: str, mode: int = 0o700) -> Path:
    """Make a folder and its parents, and prove that it can be written to.

    Args:
        folder: the folder to make.
        variable: the environment variable that moves it elsewhere, for the error's remedy.
        mode: its permissions when it is made; where they let all enter, its missing parents do too.

    Returns:
        The folder.

    Raises:
        SupervisorError: ``dev.setup_failed`` when it cannot be made or written to.
    """
    with explained(f"folder {folder}", variable):
        for place in reversed([folder, *folder.parents]):
            if not place.exists():
                place.mkdir()
                # A mode given to mkdir is narrowed by the umask: 077 would shut the server's account out.
                place.chmod(mode if place == folder or not mode & 0o001 else 0o755)
        folder.mkdir(exist_ok=True)
        # os.access answers for the real user id and knows nothing of a full disk.
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    return folder


def require_space(folder: Path, needed: int, *, step: str, variable: str) -> None:
    """Refuse to start what the disk has no room for.

    Args:
        folder: a folder on the disk concerned.
        needed: bytes.
        step: what needs the room.
        variable: the environment variable that moves the folder elsewhere.

    Raises:
        SupervisorError: ``dev.setup_failed`` when less is free.
    """
    with explained(step, variable):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise setup_failed(
            step,
            f"{folder} has {free // 2**20} MiB free, {needed // 2**20} MiB are needed",
            remedy=f"Free some disk space, or point {variable} to a larger disk.",
        )


def claim_data_folder(folder: Path, *, mode: int) -> None:
    """Make a data folder, or take the one that an earlier run made.

    Args:
        folder: the data folder.
        mode: its permissions when it is made.

    Raises:
        SupervisorError: ``dev.setup_failed`` when it cannot be written to, or holds what is not ours.
    """
    make_folder(folder, variable="XDG_DATA_HOME", mode=mode)
    marker = folder / MARKER
    with explained(f"data folder {folder}", "XDG_DATA_HOME"):
        if marker.is_file():
            return
        if any(folder.iterdir()):
            raise _foreign(folder)
        marker.write_text("Made by directus-supervisor; `dev --fresh` removes everything beside this file.\n")


def wipe_data_folder(folder: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove everything that a data folder holds, but only from a folder that carries our marker.

    Args:
        folder: the data folder; a missing one is fine.
        keep: names of entries to leave; the marker always stays.

    Raises:
        SupervisorError: ``dev.setup_failed`` when the folder is not ours or cannot be emptied.
    """
    with explained(f"data folder {folder}", "XDG_DATA_HOME"):
        if not folder.exists():
            return
        if folder.is_symlink() or not (folder / MARKER).is_file():
            raise _foreign(folder)
        for entry in folder.iterdir():
            if entry.name == MARKER or entry.name in keep:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _foreign(folder: Path) -> Exception:
    return setup_failed(
        f"data folder {folder}",
        f"it holds files that are not ours: the marker file {MARKER} is missing",
        remedy="Move that folder away, or set XDG_DATA_HOME to another place. Nothing in it was touched.",
    )


def _base(environ: Mapping[str, str] | None, variable: str, default: Path) -> Path:
    environ = os.environ if environ is None else environ
    value = environ.get(variable, "")
    # "All paths set in these environment variables must be absolute"; a relative one is to be ignored.
    if value and Path(value).is_absolute():
        return Path(value)
    home = environ.get("HOME", "")
    return (Path(home) if home and Path(home).is_absolute() else _home()) / default


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise setup_failed(
            "folders",
            "this user has no home folder",
            remedy="Set HOME, or both XDG_CACHE_HOME and XDG_DATA_HOME.",
        ) from error
