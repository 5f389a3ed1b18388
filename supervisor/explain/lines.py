"""A stream of bytes as lines, in bounded memory whatever the bytes are."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

BLOCK_BYTES: Final = 512 * 1024
LONGEST_LINE: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
# As PowerShell writes what is redirected to a file: https://learn.microsoft.com/powershell, about_Character_Encoding.
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Read = Callable[[int], bytes]


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


def reader_of(stream: IO[bytes]) -> Read:
    """What gives the bytes of a stream: gunzipped, or as UTF-8, where its first bytes say that it is otherwise."""
    # A buffered reader looks ahead without taking, which a pipe allows, too.
    peeked = cast("bytes", stream.peek(2)[:2]) if hasattr(stream, "peek") else b""
    if peeked == _GZIP:
        # One that breaks off gives what is there before it.
        return gzip.GzipFile(fileobj=stream).read1
    return _from_utf16(stream.read) if peeked in _UTF16 else stream.read


def _from_utf16(read: Read) -> Read:
    decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def read_utf8(size: int) -> bytes:
        while block := read(size):
            if text := decoder.decode(block):
                return text.encode("utf-8", "replace")
        return decoder.decode(b"", final=True).encode("utf-8", "replace")

    return read_utf8


def line_batches(read: Read, progress: Progress) -> Iterator[list[bytes]]:
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


def _next(read: Read, progress: Progress) -> bytes:
    try:
        return read(BLOCK_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        # BadGzipFile is an OSError; a truncated one ends with EOFError.
        progress.broken = str(error) or type(error).__name__
    except KeyboardInterrupt:
        progress.broken = "interrupted"
    return b""
