"""Who may see what, as a table, against the whole application."""

from __future__ import annotations

import inspect
import os

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.health.access import COOKIE, Access, is_loopback_address
from supervisor.health.app import App
from supervisor.health.controls import Controls
from supervisor.health.http import Request, Response
from supervisor.health.probes import PROBES, Probes
from supervisor.lifecycle import Lifecycle
from supervisor.settings import Settings
from supervisor.status.observatory import Observatory
from supervisor.status.recorder import Recorder

TOKEN = "a-token-of-some-length"
INSIDE = [
    ("GET", "/"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/events"),
    ("GET", "/logs"),
    ("POST", "/control/reload"),
    ("POST", "/control/log-level"),
]
LOCALHOST = {"host": "localhost:8056"}
BEARER = {"host": "x", "authorization": f"Bearer {TOKEN}"}
COOKIES = {"host": "x", "cookie": f"theme=dark; {COOKIE}={Access(TOKEN).cookie_value}"}


def app_of(token: str | None) -> App:
    lifecycle = Lifecycle(lambda: 0.0)
    probes = Probes(lifecycle, Settings(), lambda: 0.0)
    return App(lifecycle, probes, Observatory(Recorder(), None), Controls(lambda: True), Access(token))


def status_of(app: App, method: str, path: str, headers: dict[str, str], peer: str | None) -> int:
    answer = app(Request(method=method, path=path, query={}, headers=headers, peer=peer))
    if isinstance(answer, Response):
        return answer.status
    if inspect.iscoroutine(answer):
        answer.close()
    return 200


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        # Nobody is asked for a token on loopback while there is none.
        (None, "127.0.0.1", LOCALHOST, 200),
        (None, "::1", {"host": "[::1]:8056"}, 200),
        (None, "::ffff:127.0.0.1", {"host": "127.0.0.1:8056"}, 200),
        (None, None, {}, 200),
        (None, "10.0.0.7", {"host": "10.0.0.1:8056"}, 403),
        (None, "10.0.0.7", LOCALHOST, 403),
        # A name that was bound anew to loopback, and a proxy on this machine.
        (None, "127.0.0.1", {"host": "evil.example:8056"}, 403),
        (None, "127.0.0.1", {}, 403),
        (None, "127.0.0.1", {"host": "[bad"}, 403),
        (None, "127.0.0.1", {**LOCALHOST, "x-forwarded-for": "10.0.0.7"}, 403),
        # A page of another site.
        (None, "127.0.0.1", {**LOCALHOST, "origin": "https://evil.example"}, 403),
        (None, "127.0.0.1", {**LOCALHOST, "origin": "null"}, 403),
        (None, "127.0.0.1", {**LOCALHOST, "origin": "http://localhost:3000"}, 403),
        (None, "127.0.0.1", {**LOCALHOST, "origin": "http://localhost:8056"}, 200),
        (None, "127.0.0.1", {**LOCALHOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        (None, "127.0.0.1", {**LOCALHOST, "sec-fetch-site": "same-origin"}, 200),
        # With a token it is the token that counts, wherever one comes from.
        (TOKEN, None, {}, 200),
        (TOKEN, "10.0.0.7", BEARER, 200),
        (TOKEN, "10.0.0.7", COOKIES, 200),
        (TOKEN, "127.0.0.1", LOCALHOST, 401),
        (TOKEN, "10.0.0.7", {"host": "x"}, 401),
        (TOKEN, "10.0.0.7", {"host": "x", "authorization": "Bearer wrong"}, 401),
        (TOKEN, "10.0.0.7", {"host": "x", "authorization": f"Basic {TOKEN}"}, 401),
        (TOKEN, "10.0.0.7", {"host": "x", "authorization": "Bearer"}, 401),
        (TOKEN, "10.0.0.7", {"host": "x", "cookie": f"{COOKIE}={TOKEN}"}, 401),
        (TOKEN, "10.0.0.7", {**COOKIES, "origin": "https://evil.example"}, 403),
    ],
)
@pytest.mark.parametrize(("method", "path"), INSIDE)
@pytest.mark.usefixtures("captured")
def test_the_inside_is_shown_to_whom_the_table_says(
    token: str | None, peer: str | None, headers: dict[str, str], status: int, method: str, path: str
) -> None:
    got = status_of(app_of(token), method, path, headers, peer)
    if status == 200:
        assert got in {200, 202, 400}
    else:
        assert got == status


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("headers", [{}, {"host": "evil.example", "origin": "https://evil.example"}])
@pytest.mark.parametrize("probe", PROBES)
def test_the_probes_are_open_and_say_nothing_of_the_inside(
    token: str | None, headers: dict[str, str], probe: str
) -> None:
    answer = app_of(token)(Request(method="GET", path=probe, query={"verbose": ""}, headers=headers, peer="10.0.0.7"))
    assert isinstance(answer, Response)
    assert answer.status == (200 if probe == "/livez" else 503)
    assert b"reason" not in answer.body
    assert b'"checks"' in answer.body


@pytest.mark.parametrize("path", ["/control/reload", "/control/log-level", "/login", "/logout"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_control_is_used_by_post_alone(path: str, method: str) -> None:
    assert status_of(app_of(None), method, path, {}, None) == 405


def test_a_link_from_another_site_leads_to_the_page() -> None:
    headers = {**LOCALHOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert status_of(app_of(None), "GET", "/", headers, "127.0.0.1") == 200
    assert status_of(app_of(None), "POST", "/control/reload", headers, "127.0.0.1") == 403


def test_the_right_token_in_the_form_is_kept_as_a_cookie_that_scripts_cannot_read() -> None:
    app = app_of(TOKEN)

    def login(token: str) -> Response:
        body = f"token={token}".encode()
        answer = app(Request(method="POST", path="/login", query={}, headers={"host": "x"}, body=body, peer="10.0.0.7"))
        assert isinstance(answer, Response)
        return answer

    assert login("wrong").status == 401
    answer = login(TOKEN)
    assert answer.status == 303
    headers = dict(answer.headers)
    assert headers["Location"] == "/"
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert TOKEN not in cookie
    assert status_of(app, "GET", "/", {"host": "x", "cookie": cookie}, "10.0.0.7") == 200


def test_without_a_token_no_form_lets_anybody_in() -> None:
    answer = app_of(None)(Request(method="POST", path="/login", query={}, headers={}, body=b"token=", peer="10.0.0.7"))
    assert isinstance(answer, Response)
    assert answer.status == 401


class _Observatory(Observatory):
    """Counts the looks."""

    looks = 0

    def look(self) -> None:
        self.looks += 1
        super().look()


@pytest.mark.anyio
async def test_a_probe_leaves_a_sample_for_the_charts_after_its_answer() -> None:
    recorder = Recorder()
    recorder.happened("process.started", {"process": "directus", "pid": os.getpid()})
    lifecycle = Lifecycle(lambda: 0.0)
    observatory = _Observatory(recorder, None)
    probes = Probes(lifecycle, Settings(), lambda: 0.0)
    app = App(lifecycle, probes, observatory, Controls(lambda: True), Access(None))
    for _ in range(3):
        app(Request(method="GET", path="/livez", query={}, headers={}, peer="10.0.0.7"))
    assert observatory.looks == 0
    await anyio.lowlevel.checkpoint()
    (process,) = observatory.picture().processes
    assert len(process.history) == 1


QUERIES = st.dictionaries(
    st.sampled_from(["verbose", "lines", "level", "process", "follow"]) | st.text(), st.text() | st.just("info")
)


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]) | st.text(),
    path=st.sampled_from([*(path for _, path in INSIDE), *PROBES, "/login", "/logout"]) | st.text(),
    query=QUERIES,
    headers=st.dictionaries(st.sampled_from(["accept", "last-event-id", "cookie"]) | st.text(), st.text()),
    body=st.binary() | st.sampled_from([b"level=info", b"level=%ff", b"level=info&level=x", b"token=%00"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("captured")
def test_whatever_is_sent_through_the_socket_gets_an_answer_that_is_no_bug(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    app = app_of(None)
    answer = app(Request(method=method, path=path, query=query, headers=headers, body=body, peer=None))

    async def finished() -> Response:
        response = answer if isinstance(answer, Response) else await answer
        if response.parts is not None:
            await anext(response.parts)
            await response.parts.aclose()
        return response

    assert anyio.run(finished).status in {200, 202, 303, 400, 401, 404, 405, 503}


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    path=st.sampled_from([path for _, path in INSIDE]) | st.text(),
    headers=st.dictionaries(
        st.sampled_from(["host", "origin", "cookie", "authorization", "sec-fetch-site", "x-forwarded-for"]), st.text()
    ),
    body=st.binary(),
    peer=st.sampled_from(["10.0.0.7", "127.0.0.1", "::1"]) | st.text(),
)
def test_whatever_is_sent_nobody_gets_in_without_the_token(
    method: str, path: str, headers: dict[str, str], body: bytes, peer: str
) -> None:
    app = app_of(TOKEN)
    answer = app(Request(method=method, path=path, query={}, headers=headers, body=body, peer=peer))
    assert isinstance(answer, Response)
    open_paths = {*PROBES, "/page.css", "/page.js", "/charts.js", "/icon.svg"}
    assert path in open_paths or answer.status in {401, 403, 404, 405}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("", False), ("x", False)],
)
def test_loopback_is_told_from_anything_else(text: str, expected: bool) -> None:
    assert is_loopback_address(text) is expected
