"""The files of a backup: written beside their place, flushed to the disk, and only then given their name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from anyio import to_thread

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_PARTIAL: Final = ".partial-"
_BUFFER_BYTES: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file as it was written: its name, size on the disk, and sha256 in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


class GzipWriter:
    """Writes compressed, in a thread: neither the compression nor a slow disk may hold the signals up.

    Args:
        path: where; it must not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._compress = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._sum = hashlib.sha256()
        self._size = 0
        self._pending = bytearray()

    async def write(self, data: bytes) -> None:
        """Take some bytes."""
        self._pending += data
        if len(self._pending) >= _BUFFER_BYTES:
            await to_thread.run_sync(self._flush)

    async def finish(self) -> WrittenFile:
        """Write the rest, down to the disk."""
        await to_thread.run_sync(self._end)
        return WrittenFile(self._path.name, self._size, self._sum.hexdigest())

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()

    def _flush(self) -> None:
        self._put(self._compress.compress(bytes(self._pending)))
        self._pending.clear()

    def _end(self) -> None:
        self._flush()
        self._put(self._compress.flush())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._sum.update(data)
        self._size += len(data)


@asynccontextmanager
async def new_backup(folder: Path, name: str) -> AsyncIterator[tuple[Path, dict[str, Any]]]:
    """Make a backup's folder: complete and on the disk when the context is left, or not there at all.

    Args:
        folder: where backups lie.
        name: the name to give; one that is taken gets a number.

    Yields:
        The folder to write into, and the manifest to fill; after the context, its key ``path`` says where it lies.

    Raises:
        OSError: when it cannot be written.
    """
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    manifest: dict[str, Any] = {"format": FORMAT}
    try:
        yield partial, manifest
        manifest["path"] = str(await to_thread.run_sync(_publish, partial, folder / name, manifest))
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, wanted: Path, manifest: dict[str, Any]) -> Path:
    descriptor = os.open(partial / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    _flush_folder(partial)
    path, number = wanted, 1
    # A rename replaces an empty folder only, and fails on any other.
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    partial.rename(path)
    _flush_folder(path.parent)
    return path


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sum_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def unpacked(path: Path) -> AsyncIterator[bytes]:
    """The content of a compressed file, block by block."""
    decompress = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        while data := await to_thread.run_sync(file.read, _BUFFER_BYTES):
            while data:
                yield await to_thread.run_sync(decompress.decompress, data, _BUFFER_BYTES)
                data = decompress.unconsumed_tail
    yield decompress.flush()
