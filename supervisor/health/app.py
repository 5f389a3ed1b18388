"""The pages of the health port: which path is answered by what, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from supervisor.health import page, streams
from supervisor.health.access import Access
from supervisor.health.controls import Controls
from supervisor.health.http import JSON, Answer, Request, Response, as_json, plain
from supervisor.health.probes import PROBES, Probes
from supervisor.lifecycle import Lifecycle
from supervisor.status.observatory import Observatory
from supervisor.status.observatory import as_json as picture_json

_READ: Final = ("GET", "HEAD")
_POST: Final = ("POST",)


@dataclass(frozen=True, slots=True)
class _Route:
    """One path.

    Attributes:
        answer: what answers.
        methods: allowed ones.
        open: whether everybody is answered.
    """

    answer: Callable[[Request], Answer]
    methods: tuple[str, ...] = _READ
    open: bool = False


class App:
    """Answers requests; called with each one.

    Args:
        lifecycle: the state.
        probes: answers the probes.
        observatory: makes the picture.
        controls: what can be done from here.
        access: who may.
    """

    def __init__(
        self, lifecycle: Lifecycle, probes: Probes, observatory: Observatory, controls: Controls, access: Access
    ) -> None:
        self._lifecycle = lifecycle
        self._probes = probes
        self._observatory = observatory
        self._access = access
        self._metrics: Callable[[str], tuple[str, bytes]] | None = None
        self._routes: Mapping[str, _Route] = {
            **{probe: _Route(self._probe, open=True) for probe in PROBES},
            **{path: _Route(page.asset, open=True) for path in page.ASSETS},
            "/": _Route(self._page),
            "/login": _Route(self._login, _POST, open=True),
            "/logout": _Route(self._logout, _POST),
            "/status": _Route(self._status),
            "/metrics": _Route(self._scrape),
            "/events": _Route(self._events),
            "/logs": _Route(self._logs),
            "/control/reload": _Route(controls.reload, _POST),
            "/control/log-level": _Route(controls.set_log_level, _POST),
        }

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        route = self._routes.get(request.path)
        if route is None:
            return plain(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if request.method not in route.methods:
            allow = ("Allow", ", ".join(route.methods))
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, f"This takes {allow[1]}.", allow)
        if not route.open:
            refusal = self._access.refusal(request)
            if refusal is not None and refusal.status == HTTPStatus.UNAUTHORIZED and request.path == "/":
                return page.login_page(HTTPStatus.UNAUTHORIZED)
            if refusal is not None:
                unauthorized = refusal.status == HTTPStatus.UNAUTHORIZED
                headers = (("WWW-Authenticate", "Bearer"),) if unauthorized else ()
                return plain(refusal.status, refusal.sentence, *headers)
        return route.answer(request)

    def _probe(self, request: Request) -> Response:
        if self._observatory.is_due_in_passing():
            # After the answer: the charts have a past when somebody looks, and no timer wakes us for it.
            asyncio.get_running_loop().call_soon(self._observatory.look)
        checks = self._probes.checks(request.path)
        ok = all(check.ok for check in checks)
        inside = self._access.refusal(request) is None
        body: dict[str, object] = {"ok": ok, "state": self._lifecycle.state.value}
        if inside:
            body["reason"] = next((check.reason for check in checks if not check.ok), checks[-1].reason)
        if "verbose" in request.query:
            shown = ("name", "ok", "reason") if inside else ("name", "ok")
            body["checks"] = [{name: getattr(check, name) for name in shown} for check in checks]
        return as_json(body, HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)

    def _page(self, _request: Request) -> Response:
        return page.status_page(with_logout=self._access.has_token)

    def _login(self, request: Request) -> Response:
        return page.login(request, self._access)

    def _logout(self, _request: Request) -> Response:
        return page.logout()

    async def _status(self, _request: Request) -> Response:
        await self._observatory.measure_lag()
        return Response(content_type=JSON, body=picture_json(self._observatory.picture()).encode() + b"\n")

    async def _scrape(self, request: Request) -> Response:
        await self._observatory.measure_lag()
        if self._metrics is None:
            self._metrics = await streams.load_metrics(self._observatory)
        content_type, body = self._metrics(request.headers.get("accept", ""))
        return Response(content_type=content_type, body=body)

    def _events(self, request: Request) -> Response:
        return Response(
            content_type="text/event-stream; charset=utf-8",
            parts=streams.server_sent_events(self._observatory, request.headers.get("last-event-id", "")),
        )

    def _logs(self, request: Request) -> Answer:
        return streams.logs(self._observatory, request)
