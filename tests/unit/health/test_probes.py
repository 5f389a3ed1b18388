"""The health port, over a real socket, and the command that asks it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.health.access import Access
from supervisor.health.app import App
from supervisor.health.ask import ask
from supervisor.health.controls import Controls
from supervisor.health.probes import PROBES, Probes
from supervisor.health.server import bind, serving
from supervisor.lifecycle import Lifecycle, State
from supervisor.settings import Settings
from supervisor.status.observatory import Observatory
from supervisor.status.recorder import Recorder
from tests.unit.captured import Captured

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("captured")]

TO_READY = (State.MIGRATING, State.LAUNCHING, State.READY)


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle(lambda: 0.0)


def app_of(lifecycle: Lifecycle) -> App:
    probes = Probes(lifecycle, Settings(), lambda: 0.0)
    return App(lifecycle, probes, Observatory(Recorder(), "1.2.3"), Controls(lambda: True), Access(None))


@asynccontextmanager
async def port_of(lifecycle: Lifecycle, host: str = "127.0.0.1") -> AsyncIterator[int]:
    with bind(host, 0) as listener:
        async with serving(app_of(lifecycle), listener):
            yield int(listener.getsockname()[1])


@asynccontextmanager
async def client_of(lifecycle: Lifecycle) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        port_of(lifecycle) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


async def statuses(client: httpx.AsyncClient) -> dict[str, int]:
    return {probe: (await client.get(probe)).status_code for probe in PROBES}


async def test_before_the_boot_it_is_alive_and_nothing_else(lifecycle: Lifecycle) -> None:
    async with client_of(lifecycle) as client:
        assert await statuses(client) == {"/livez": 200, "/readyz": 503, "/startupz": 503}


async def test_the_probes_follow_the_lifecycle(lifecycle: Lifecycle) -> None:
    async with client_of(lifecycle) as client:
        for state in TO_READY:
            lifecycle.advance(state, "step")
        assert await statuses(client) == {"/livez": 200, "/readyz": 200, "/startupz": 200}
        lifecycle.advance(State.RESTARTING, "directus ended with status 1")
        assert await statuses(client) == {"/livez": 200, "/readyz": 503, "/startupz": 200}
        lifecycle.advance(State.STOPPING, "SIGTERM was received")
        assert (await client.get("/readyz")).status_code == 503


async def test_the_body_says_why(lifecycle: Lifecycle) -> None:
    lifecycle.advance(State.MIGRATING, "the phases run")
    lifecycle.phase, lifecycle.reason = "wait_for_postgres", "running"
    async with client_of(lifecycle) as client:
        response = await client.get("/readyz")
    assert response.json() == {"ok": False, "state": "migrating", "reason": "phase wait_for_postgres: running"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert "server" not in response.headers


async def test_a_head_request_has_the_status_and_no_body(lifecycle: Lifecycle) -> None:
    async with client_of(lifecycle) as client:
        response = await client.head("/readyz")
    assert response.status_code == 503
    assert response.content == b""


@pytest.mark.parametrize("path", ["/nothing", "/livez/x", "/metrics2", "/%00"])
async def test_another_path_is_not_found(lifecycle: Lifecycle, path: str) -> None:
    async with client_of(lifecycle) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_probe_can_only_be_read(lifecycle: Lifecycle, method: str) -> None:
    async with client_of(lifecycle) as client:
        assert (await client.request(method, "/livez")).status_code == 405


async def test_a_connection_is_taken_as_soon_as_the_port_is_bound() -> None:
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        pass


def hosts() -> list[tuple[str, str]]:
    """Loopback addresses of this machine, as they are and as they stand in a URL; a container may have no IPv6."""
    try:
        bind("::1", 0).close()
    except SupervisorError:
        return [("127.0.0.1", "127.0.0.1")]
    return [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")]


@pytest.mark.parametrize(("host", "shown"), hosts())
async def test_the_address_is_logged_as_a_url(lifecycle: Lifecycle, captured: Captured, host: str, shown: str) -> None:
    async with port_of(lifecycle, host) as port:
        (record,) = captured.of("health.listening")
        assert (record["address"], record["port"]) == (f"http://{shown}:{port}", port)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{record['address']}/livez")).status_code == 200


async def test_a_client_that_says_nothing_does_not_hold_up_the_end(lifecycle: Lifecycle) -> None:
    with anyio.fail_after(10):
        async with port_of(lifecycle) as port:
            idle = await anyio.connect_tcp("127.0.0.1", port)
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200
        await idle.aclose()


async def test_garbage_ends_nothing(lifecycle: Lifecycle) -> None:
    async with port_of(lifecycle) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\x16\x03\x01 not http\r\n\r\n")
            assert b"400" in await stream.receive()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200


async def test_a_taken_port_is_told_with_its_settings() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SupervisorError) as caught:
            bind("127.0.0.1", port)
    assert caught.value.failure is errors.HEALTH_PORT_TAKEN
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "SUPERVISOR_HEALTH_PORT" in caught.value.message


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b", "x" * 70])
async def test_a_host_that_cannot_be_bound_is_told(host: str) -> None:
    with pytest.raises(SupervisorError, match="cannot be bound"):
        bind(host, 0)


def settings_for(host: str, port: int) -> Mapping[str, str]:
    return {"SUPERVISOR_HEALTH_HOST": host, "SUPERVISOR_HEALTH_PORT": str(port)}


async def asked(lifecycle: Lifecycle, probe: str, host: str = "127.0.0.1") -> int:
    async with port_of(lifecycle) as port:
        return await anyio.to_thread.run_sync(ask, settings_for(host, port), Path("/nonexistent"), probe, 10.0)


async def test_the_command_ends_with_0_when_the_probe_passes(
    lifecycle: Lifecycle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asked(lifecycle, "/livez") == 0
    assert '"ok": true' in capsys.readouterr().out


async def test_the_command_ends_with_1_when_the_probe_fails_and_says_why(
    lifecycle: Lifecycle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asked(lifecycle, "/readyz") == 1
    assert "the supervisor is starting" in capsys.readouterr().out


async def test_the_command_reaches_any_address_by_loopback(lifecycle: Lifecycle) -> None:
    assert await asked(lifecycle, "/livez", host="0.0.0.0") == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
async def test_the_command_ends_with_1_when_nobody_answers(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        # Bound, and not listening.
        bound.bind(("127.0.0.1", 0))
        environ = settings_for(host, bound.getsockname()[1])
        assert ask(environ, Path("/nonexistent"), "/readyz", 5.0) == 1
    assert "no answer from http://" in capsys.readouterr().err


async def test_the_command_ends_with_1_when_the_answer_takes_too_long() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert ask(settings_for(*listener.getsockname()), Path("/nonexistent"), "/readyz", 0.05) == 1


async def test_the_command_ends_with_78_when_the_port_is_only_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(settings_for("127.0.0.1", 0), Path("/nonexistent"), "/readyz", 5.0) == 78
    assert "SUPERVISOR_HEALTH_PORT is 0" in capsys.readouterr().err
