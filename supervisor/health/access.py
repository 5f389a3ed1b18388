"""Who may see what, and do what. Pure.

The probes are open, and say nothing of the inside. Everything else wants the token, or the control socket, whose file
only its owner can open. Without a token it answers on loopback alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from supervisor.health.http import Request

COOKIE: Final = "directus_supervisor"
# A proxy on this machine makes every caller look like loopback.
_OF_PROXIES: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    sentence: str


class Access:
    """Judges requests.

    Args:
        token: opens everything; None where none is configured.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token is not None else None
        # What the browser keeps is not the token itself, and as worthless without it.
        self.cookie_value = hmac.new(self._token or b"", b"the status page", hashlib.sha256).hexdigest()

    @property
    def has_token(self) -> bool:
        """Whether a token is configured."""
        return self._token is not None

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token; takes as long for a wrong one as for the right one."""
        return self._token is not None and hmac.compare_digest(text.encode("utf-8", "replace"), self._token)

    def refusal(self, request: Request) -> Refusal | None:
        """Why this request may not see the inside; None when it may."""
        if request.peer is None:
            return None
        if _comes_from_another_site(request):
            return Refusal(HTTPStatus.FORBIDDEN, "This request was made by a page of another site.")
        if self._token is None:
            if _is_loopback(request):
                return None
            sentence = "Without SUPERVISOR_STATUS_TOKEN this answers on loopback and on the control socket alone."
            return Refusal(HTTPStatus.FORBIDDEN, sentence)
        if self._bears_token(request) or self._has_cookie(request):
            return None
        return Refusal(HTTPStatus.UNAUTHORIZED, "This wants the token: Authorization: Bearer TOKEN.")

    def _bears_token(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(credentials.strip())

    def _has_cookie(self, request: Request) -> bool:
        for pair in request.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE and hmac.compare_digest(value.encode("utf-8", "replace"), self.cookie_value.encode()):
                return True
        return False


def _comes_from_another_site(request: Request) -> bool:
    """Whether a browser sends it on behalf of a page that is not ours (Fetch standard: Origin, Sec-Fetch-Site)."""
    headers = request.headers
    origin = headers.get("origin")
    if origin is not None and _host_of_origin(origin) != headers.get("host", "").lower():
        return True
    if headers.get("sec-fetch-site") not in _OTHER_SITES:
        return False
    # Following a link from another site shows the page, to the one who clicked alone.
    return not (request.method in _SAFE and headers.get("sec-fetch-mode") == "navigate")


def _host_of_origin(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_loopback(request: Request) -> bool:
    """Whether it comes from this machine, and asked for it by an address of its own.

    A page whose name was bound anew to 127.0.0.1 (DNS rebinding) still sends its own name as Host.
    """
    if _OF_PROXIES & request.headers.keys():
        return False
    return is_loopback_address(request.peer or "") and _names_loopback(request.headers.get("host", ""))


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback_address(name)


def is_loopback_address(text: str) -> bool:
    """Whether this is the text of a loopback address, also of one of IPv4 within IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
