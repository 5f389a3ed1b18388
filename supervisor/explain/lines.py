"""A stream of bytes as lines, in bounded memory whatever the bytes are."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

BLOCK_BYTES: Final = 512 * 1024
LONGEST_LINE: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"


@dataclass(slots=True)
class Progress:
    """How the reading went.

    Attributes:
        bytes: read so far, after decompression.
        cut_lines: lines longer than `LONGEST_LINE`, of which the rest was dropped.
        broken: why the reading ended before the end; None when it did not.
    """

    bytes: int = 0
    cut_lines: int = 0
    broken: str | None = None


def decompressed(stream: IO[bytes]) -> IO[bytes]:
    """The stream, gunzipped where its first bytes say that it is compressed."""
    # A buffered reader looks ahead without taking, which a pipe allows, too.
    peeked = cast("bytes", stream.peek(2)[:2]) if hasattr(stream, "peek") else b""
    return cast("IO[bytes]", gzip.GzipFile(fileobj=stream)) if peeked == _GZIP else stream


def line_batches(read: Callable[[int], bytes], progress: Progress) -> Iterator[list[bytes]]:
    """The lines without their newlines, many at a time.

    Args:
        read: gives up to so many bytes, none at the end.
        progress: is kept current; a stream that breaks off ends the lines and is told there.
    """
    carry, dropping = b"", False
    while block := _next(read, progress):
        progress.bytes += len(block)
        lines = block.split(b"\n")
        if dropping:
            if len(lines) == 1:
                continue
            del lines[0]
            dropping = False
        else:
            lines[0] = carry + lines[0]
        carry = lines.pop()
        if lines and len(lines[0]) > LONGEST_LINE:
            lines[0] = lines[0][:LONGEST_LINE]
            progress.cut_lines += 1
        if len(carry) > LONGEST_LINE:
            lines.append(carry[:LONGEST_LINE])
            progress.cut_lines += 1
            carry, dropping = b"", True
        if lines:
            yield lines
    if carry:
        yield [carry]


def _next(read: Callable[[int], bytes], progress: Progress) -> bytes:
    try:
        return read(BLOCK_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        # BadGzipFile is an OSError; a truncated one ends with EOFError.
        progress.broken = str(error) or type(error).__name__
    except KeyboardInterrupt:
        progress.broken = "interrupted"
    return b""
