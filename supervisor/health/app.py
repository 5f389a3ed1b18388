"""The probes: what an orchestrator asks, answered from memory.

The meaning is Kubernetes': ``/livez`` failing means "restart me", ``/readyz`` failing means "send me no requests",
``/startupz`` holds the other two back until the first success.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor.lifecycle import Lifecycle, Readiness

PROBES: Final = ("/livez", "/readyz", "/startupz")


def make_app(lifecycle: Lifecycle) -> Starlette:
    """The ASGI application that answers the probes of one lifecycle."""
    answers = {"/livez": lifecycle.live, "/readyz": lifecycle.ready, "/startupz": lifecycle.started}
    return Starlette(routes=[Route(path, _endpoint(answers[path], lifecycle)) for path in PROBES])


def _endpoint(ask: Callable[[], Readiness], lifecycle: Lifecycle) -> Callable[[Request], Response]:
    async def endpoint(_request: Request) -> Response:
        answer = ask()
        body = {"ok": answer.ok, "state": lifecycle.state.value, "reason": answer.reason}
        return Response(
            json.dumps(body) + "\n",
            status_code=200 if answer.ok else 503,
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return endpoint  # type: ignore[return-value]
