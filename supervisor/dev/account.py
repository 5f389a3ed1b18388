"""Which user the PostgreSQL server runs as: PostgreSQL refuses to run as root.

``initdb`` and ``postgres`` end with "cannot be run as root" when their effective user id is 0, so root needs
another account, and that account must be able to reach the binaries and the data.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.dev.failures import setup_failed

if TYPE_CHECKING:
    from pathlib import Path

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine.

    Attributes:
        name: its login name.
        uid: its user id.
        gid: its primary group id.
    """

    name: str
    uid: int
    gid: int


def server_account(effective_uid: int | None = None) -> Account | None:
    """The account that the server has to be started as.

    Args:
        effective_uid: the user id to decide for; the running one when not given.

    Returns:
        None for an ordinary user, who starts it as himself; ``postgres``, else ``nobody``, for root.

    Raises:
        SupervisorError: ``dev.setup_failed`` when root has neither of these accounts.
    """
    if (os.geteuid() if effective_uid is None else effective_uid) != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise setup_failed(
        "PostgreSQL",
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`",
        remedy="Run this command as an ordinary user, or create one of these two accounts.",
    )


def can_enter(folder: Path, account: Account) -> bool:
    """Whether an account may pass through a folder and all folders above it.

    Args:
        folder: the folder; where it does not exist yet, its nearest existing parent decides.
        account: the account, taken without supplementary groups.

    Returns:
        True when every folder on the way grants it the search permission.
    """
    resolved = folder.resolve()
    for place in (resolved, *resolved.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode) or not _may_search(status, account):
            return False
    return True


def _may_search(status: os.stat_result, account: Account) -> bool:
    # The kernel takes the first class that matches, even when a later one would grant more.
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
