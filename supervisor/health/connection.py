"""One connection of the health port: HTTP/1.1 by h11, with a bound on everything that the other side decides.

It runs in the event loop of PID 1, so each step is short: one request a turn, a task only for an answer that takes
long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from http import HTTPStatus
from typing import Final, Protocol

import h11

from supervisor.health.http import Handler, Request, Response, plain, split_target
from supervisor.logs import events
from supervisor.logs.setup import get_log

HEAD_BYTES: Final = 16 * 1024
BODY_BYTES: Final = 8 * 1024
# From the first byte of a request to its last, and for the answer to be taken.
REQUEST_S: Final = 5.0
IDLE_S: Final = 20.0
_ANSWER_S: Final = 30.0
# What a reader who does not read may leave unread of a stream.
_UNREAD_BYTES: Final = 256 * 1024
_REASONS: Final = {int(status): status.phrase.encode() for status in HTTPStatus}
_log = get_log("health")


class Port(Protocol):
    """What a connection belongs to."""

    handle: Handler

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in; False where there is no room even after the idle ones."""

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""

    def soon(self, connection: Connection) -> None:
        """Let the connection go on when it is its turn."""

    def may_stream(self) -> bool:
        """Whether one more answer without an end is possible."""


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        port: what it belongs to.
        local: whether it has come through the control socket.

    Attributes:
        streaming: whether it carries an answer without an end.
    """

    def __init__(self, port: Port, *, local: bool) -> None:
        self._port = port
        self._local = local
        self._peer: str | None = None
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._head: h11.Request | None = None
        self._body = b""
        self._queued = False
        self.streaming = False

    @property
    def waiting(self) -> bool:
        """Whether it waits for a request, or for the rest of one."""
        return self._task is None and not self._queued

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or turn it away."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream is all that is served
        self._transport = transport
        if not self._local:
            self._peer = str(transport.get_extra_info("peername")[0])
        if self._port.admit(self):
            self._allow(REQUEST_S)
        else:
            transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """It is gone."""
        self._transport = None
        self._forbid()
        if self._task is not None:
            self._task.cancel()
        self._port.leave(self)

    def data_received(self, data: bytes) -> None:
        """Take some bytes."""
        if self.streaming:
            # Nothing may follow a request whose answer has no end.
            self.abort()
            return
        self._h11.receive_data(data)
        self._queue()

    def eof_received(self) -> bool:
        """The other side has said all; an answer on its way is still delivered, but for one without an end."""
        if self.streaming or self.waiting:
            return False
        self._h11.receive_data(b"")
        return True

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    async def finish(self) -> None:
        """Wait until the answer on its way is complete."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def advance(self) -> None:
        """Go on with what has arrived, up to the end of one request."""
        self._queued = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    def _queue(self) -> None:
        """Read nothing more until it is this one's turn."""
        if not self._queued and self._transport is not None:
            self._queued = True
            self._transport.pause_reading()
            self._port.soon(self)

    def _allow(self, seconds: float) -> None:
        self._forbid()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _forbid(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _advance(self) -> None:
        while self._transport is not None and self._task is None:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint, "This is not a request that can be understood.")
                return
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                return
            if isinstance(event, h11.Request):
                self._head, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
                if len(self._body) > BODY_BYTES:
                    self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too long.")
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
                return
            else:
                self._close()
                return

    def _answer(self) -> None:
        assert self._head is not None  # noqa: S101 - h11 gives the head first
        try:
            answer = self._port.handle(_request_of(self._head, self._body, self._peer))
        except Exception as error:  # noqa: BLE001 - a bug of a page must not end PID 1
            answer = _bug(error)
        if isinstance(answer, Response) and answer.parts is None:
            self._send(answer)
        else:
            self._forbid()
            self._task = asyncio.get_running_loop().create_task(self._answer_slowly(answer))

    async def _answer_slowly(self, answer: Response | Awaitable[Response]) -> None:
        assert self._transport is not None  # noqa: S101 - it was there a moment ago, and a loss cancels this
        # Until the answer is there nothing more is read.
        self._transport.pause_reading()
        try:
            response = answer if isinstance(answer, Response) else await answer
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            response = _bug(error)
        if self._transport is None:
            return
        self._transport.resume_reading()
        if response.parts is None or self._is_head:
            self._task = None
            self._send(response)
        else:
            await self._stream(response)

    @property
    def _is_head(self) -> bool:
        return self._head is not None and self._head.method == b"HEAD"

    async def _stream(self, response: Response) -> None:
        if not self._port.may_stream():
            self._task = None
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too many are watching already.")
            return
        assert response.parts is not None  # noqa: S101 - the caller has looked
        self.streaming = True
        self._write(_head_of(response, None, close=True))
        try:
            async with aclosing(response.parts) as parts:
                async for part in parts:
                    transport = self._transport
                    if transport is None or transport.get_write_buffer_size() > _UNREAD_BYTES:
                        self.abort()
                        return
                    self._write(h11.Data(data=part))
            self._write(h11.EndOfMessage())
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            _bug(error)
            self.abort()
            return
        self._close()

    def _send(self, response: Response) -> None:
        """Send an answer that is all there, and get ready for the next request in another turn of the loop."""
        self._write(_head_of(response, len(response.body), close=False))
        if not self._is_head:
            self._write(h11.Data(data=response.body))
        self._write(h11.EndOfMessage())
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self._close()
            return
        self._h11.start_next_cycle()
        self._head = None
        self._allow(IDLE_S)
        # Another request has come already, or the end of all.
        if self._h11.trailing_data != (b"", False):
            self._queue()

    def _refuse(self, status: int, sentence: str) -> None:
        """Say why, and close: what else has arrived cannot be told from garbage."""
        response = plain(status, sentence)
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._write(_head_of(response, len(response.body), close=True))
            if not self._is_head:
                self._write(h11.Data(data=response.body))
            self._write(h11.EndOfMessage())
        self._close()

    def _write(self, event: h11.Event) -> None:
        if self._transport is not None and not self._transport.is_closing():
            data = self._h11.send(event)
            if data:
                self._transport.write(data)

    def _close(self) -> None:
        """Close once everything is written, or once that has taken too long."""
        if self._transport is not None:
            self._allow(_ANSWER_S)
            self._transport.close()


def _request_of(head: h11.Request, body: bytes, peer: str | None) -> Request:
    path, query = split_target(head.target.decode("latin-1"))
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    method = head.method.decode("latin-1")
    return Request(method=method, path=path, query=query, headers=headers, body=body, peer=peer)


def _head_of(response: Response, length: int | None, *, close: bool) -> h11.Response:
    headers = [("Content-Type", response.content_type), ("Cache-Control", "no-store"), *response.headers]
    headers.append(("X-Content-Type-Options", "nosniff"))
    if length is not None:
        headers.append(("Content-Length", str(length)))
    if close:
        headers.append(("Connection", "close"))
    reason = _REASONS.get(response.status, b"")
    return h11.Response(status_code=response.status, headers=headers, reason=reason)


def _bug(error: Exception) -> Response:
    _log.emit(events.HEALTH_ANSWER_FAILED, message=f"{type(error).__name__}: {error}", exc_info=error)
    return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "This answer could not be made; the log says why.")
