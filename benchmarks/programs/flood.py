"""A child that writes lines as fast as they are taken: ``flood.py pino|plain COUNT``, then stays until a signal.

Every line is the result of :func:`line`, so that a reader can tell whether it arrived whole and in its place.
"""

from __future__ import annotations

import os
import signal
import sys

_BLOCK_BYTES = 64 * 1024

# The shape of Directus' own request lines (pino-http), shortened by some headers.
_PINO = (
    '{"level":30,"time":1767225600000,"pid":17,"hostname":"directus-0","req":{"id":%d,"method":"GET",'
    '"url":"/items/entries?limit=100&sort=-start_at","query":{"limit":"100","sort":"-start_at"},'
    '"params":{"collection":"entries"},"headers":{"host":"rally.example.com","user-agent":"okhttp/4.12.0",'
    '"accept":"application/json","accept-encoding":"gzip","authorization":"--redact--"},'
    '"remoteAddress":"10.42.0.7","remotePort":40404},"res":{"statusCode":200,"headers":{'
    '"content-type":"application/json; charset=utf-8","content-length":"18231"}},"responseTime":12,'
    '"msg":"request completed #%d#"}'
)
_PLAIN = "GET /items/entries?limit=100&sort=-start_at 200 12ms 18231 bytes from 10.42.0.7 by okhttp/4.12.0 #%d#"


def line(kind: str, number: int) -> str:
    """The line with this number, without its newline."""
    return _PINO % (number, number) if kind == "pino" else _PLAIN % number


def main() -> None:
    """Write the lines, then wait to be ended."""
    kind, count = sys.argv[1], int(sys.argv[2])
    # Made before the first byte is written, so that the making is not measured.
    data = "".join(line(kind, number) + "\n" for number in range(count)).encode()
    if "NODE_CHANNEL_FD" in os.environ:
        os.write(int(os.environ["NODE_CHANNEL_FD"]), b'"ready"\n')
    view = memoryview(data)
    while view:
        view = view[os.write(1, view[:_BLOCK_BYTES]) :]
    signal.pause()


if __name__ == "__main__":
    main()
