"""Incidents as files in a folder: one each, written whole or not at all, the newest ones kept."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from supervisor.incidents.record import as_document

KEPT: Final = 50
MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
# TIME-CODE-BOOT.json: sorted by name is sorted by time, and replicas that share a folder do not meet.
_NAME: Final = re.compile(r"(?P<id>\d{8}T\d{6}\.\d{3}Z-[a-z_.]+-[0-9a-f]+(?:-\d+)?)\.json")
_LEFT: Final = re.compile(r"\.\d{8}T\d{6}\.\d{3}Z-.+\.json\.\d+\.tmp")
# A write takes no hour: what is older was left by a supervisor that was killed.
_LEFT_S: Final = 3600.0
_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """One incident of the folder; `document` is None when its file cannot be read."""

    id: str
    path: Path
    document: Mapping[str, Any] | None


def id_of(timestamp: str, code: str, boot_id: str) -> str:
    """The name of an incident.

    Args:
        timestamp: RFC 3339 in UTC with milliseconds.
        code: of the catalogue.
        boot_id: of this life of the supervisor.
    """
    return f"{timestamp.replace('-', '').replace(':', '')}-{code}-{boot_id}"


def keep(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write one incident, and take away the oldest ones beyond the bound.

    Args:
        folder: made when it is not there.
        document: the record, with its `id`.

    Returns:
        Its file.

    Raises:
        OSError: it could not be written; nothing of it is left.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    name = str(document["id"])
    path = folder / f"{name}.json"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.json"
    write_whole(path, as_document({**document, "id": path.stem}))
    _prune(folder)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is seen whole or not at all, readable for its owner alone.

    Raises:
        OSError: it could not be written; what was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def stored(folder: Path) -> list[Stored]:
    """The incidents of a folder, the newest first.

    Raises:
        OSError: the folder cannot be read; one that is not there holds none.
    """
    if not folder.exists():
        return []
    names = sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
    return [Stored(path.stem, path, _read(path)) for path in names]


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _prune(folder: Path) -> None:
    paths = list(folder.iterdir())
    for path in sorted((path for path in paths if _NAME.fullmatch(path.name)), reverse=True)[KEPT:]:
        # Another replica may be doing the same.
        path.unlink(missing_ok=True)
    for path in paths:
        with suppress(OSError):
            if _LEFT.fullmatch(path.name) and time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink()
