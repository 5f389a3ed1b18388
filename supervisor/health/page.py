"""The status page and its files, all from this origin, and the form that lets a browser in."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from supervisor.health.access import COOKIE, Access
from supervisor.health.controls import form_field
from supervisor.health.http import HTML, Request, Response

_FOLDER: Final = Path(__file__).with_name("assets")
ASSETS: Final = {
    "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/charts.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
_COOKIE_AGE_S: Final = 12 * 3600
# Nothing from elsewhere, nothing inline, no frames.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    # Not "no-referrer": with that a form of our own page would be sent with "Origin: null".
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def asset(request: Request) -> Response:
    """A file of the page."""
    return Response(
        content_type=ASSETS[request.path],
        body=_read(request.path.removeprefix("/")),
        headers=(("Cross-Origin-Resource-Policy", "same-origin"),),
    )


def status_page(*, with_logout: bool) -> Response:
    """The status page."""
    body = _read("page.html").replace(b"{{hidden}}", b"" if with_logout else b" hidden")
    return Response(content_type=HTML, body=body, headers=_HEADERS)


def login_page(status: int, message: str = "") -> Response:
    """The form that asks for the token."""
    body = _read("login.html").replace(b"{{message}}", message.encode())
    return Response(status=status, content_type=HTML, body=body, headers=_HEADERS)


def login(request: Request, access: Access) -> Response:
    """Take the token from the form, and let the browser keep that it was right."""
    if not access.is_token(form_field(request, "token")):
        return login_page(HTTPStatus.UNAUTHORIZED, "This is not the token.")
    secure = "; Secure" if request.headers.get("x-forwarded-proto") == "https" else ""
    cookie = f"{COOKIE}={access.cookie_value}; Path=/; Max-Age={_COOKIE_AGE_S}; HttpOnly; SameSite=Strict{secure}"
    return Response(status=HTTPStatus.SEE_OTHER, headers=(("Location", "/"), ("Set-Cookie", cookie), *_HEADERS))


def logout() -> Response:
    """Make the browser forget."""
    cookie = f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    return Response(status=HTTPStatus.SEE_OTHER, headers=(("Location", "/"), ("Set-Cookie", cookie), *_HEADERS))


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
