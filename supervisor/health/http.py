"""Requests and responses, as the health port and the control socket know them. Pure."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, complete.

    Attributes:
        method: in capitals.
        path: without the query, as it was sent.
        query: what follows the question mark; of a repeated name the last value.
        headers: by lower-case name; a repeated one joined by commas, as RFC 9110 section 5.3 has it.
        body: all of it.
        peer: address of the other side; None where it has come through the control socket.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer.

    Attributes:
        status: of the answer.
        content_type: of the body.
        body: all of it; for an answer without an end see `parts`.
        headers: further ones.
        parts: what follows the body, part by part, until it ends or the other side goes.
    """

    status: int = HTTPStatus.OK
    content_type: str = TEXT
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    parts: AsyncGenerator[bytes, None] | None = field(default=None, compare=False)


# What takes longer than a moment is awaited; everything else is answered on the spot, without a task.
Answer: TypeAlias = Response | Awaitable[Response]
Handler: TypeAlias = Callable[[Request], Answer]


def split_target(target: str) -> tuple[str, Mapping[str, str]]:
    """Path and query of a request target; what is no query is none."""
    path, _, query = target.partition("?")
    try:
        return path, dict(parse_qsl(query, keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return path, {}


def plain(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """A sentence as an answer."""
    return Response(status=status, body=f"{sentence}\n".encode(), headers=headers)


def as_json(document: object, status: int = HTTPStatus.OK) -> Response:
    """A document as an answer."""
    return Response(status=status, content_type=JSON, body=json.dumps(document, ensure_ascii=False).encode() + b"\n")
