"""The health port of the real command: right at every moment, and no way to hurt PID 1."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness import Deployment, Supervised, eventually, is_gone

# What is promised is 50 ms. Here the figure is what remains of it on a machine that does other things as well, and in
# which the flood itself takes one of two processors; the precise one is in benchmarks/health.py.
_LONGEST_DELAY_S = 0.25
_MEASURE = Path(__file__).parents[1] / "programs" / "measure_reaps.py"


def port_of(process: Supervised) -> int:
    return int(process.wait_for("health.listening")["port"])


def get(process: Supervised, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port_of(process)}{path}", headers=headers, trust_env=False, timeout=20)


def test_the_picture_follows_a_boot_and_a_restart(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_a.sql", "CREATE TABLE a (i int);")
    deployment.environ |= {"STAND_IN": "serve", "SUPERVISOR_RESTART_BACKOFF_S": "0.01"}
    with deployment.start("run") as process:
        first = process.wait_for("process.started", process="directus")["pid"]
        process.wait_for("state.changed", state="ready")
        picture = get(process, "/status").json()
        assert [phase["name"] for phase in picture["boot"]["phases"]] == [
            "wait_for_postgres",
            "pre_schema",
            "bootstrap",
            "schema_apply",
            "post_schema",
        ]
        assert {phase["state"] for phase in picture["boot"]["phases"]} == {"finished"}
        assert picture["migrations"]["applied"][0]["file"] == "pre-schema/001_a.sql"
        subprocess.run(["kill", "-9", str(first)], check=True)
        process.wait_for("process.restarting")
        eventually(lambda: bool(get(process, "/status").json()["state"]["ready"]))
        picture = get(process, "/status").json()
        (directus,) = picture["processes"]
        assert (directus["restarts"], directus["exits"]) == ({"signal": 1}, {"SIGKILL": 1})
        assert picture["last_incident"]["code"] == "process.signal"
        assert picture["last_incident"]["remedy"]
        text = get(process, "/metrics").text
        assert 'directus_supervisor_restarts_total{process="directus",reason="signal"} 1.0' in text
        assert 'directus_supervisor_process_memory_bytes{process="directus"}' in text


def test_whoever_watches_sees_the_failure_and_its_remedy(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_slow.sql", "SELECT pg_sleep(2);\nselekt 1;")
    with deployment.start("run") as process:
        with httpx.stream("GET", f"http://127.0.0.1:{port_of(process)}/events", trust_env=False, timeout=30) as events:
            pictures = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith('data: {"schema')]
        process.expect_exit(3)
    assert pictures[-1]["state"]["name"] == "failed"
    assert pictures[-1]["last_incident"]["code"] == "sql.failed"
    assert pictures[-1]["last_incident"]["remedy"] == process.failure["remedy"]


def test_the_token_comes_from_a_file_and_is_never_shown(deployment: Deployment) -> None:
    token = "open-sesame-open-sesame"
    file = deployment.folder / "token"
    file.write_text(token + "\n")
    deployment.environ["SUPERVISOR_STATUS_TOKEN_FILE"] = str(file)
    deployment.environ["STAND_IN"] = "leak-secrets"
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        assert get(process, "/status").status_code == 401
        assert "reason" not in get(process, "/readyz").json()
        answer = get(process, "/logs?level=debug", authorization=f"Bearer {token}")
        assert answer.status_code == 200
        assert get(process, "/status", authorization=f"Bearer {token}").status_code == 200
    assert token not in process.text
    for name in ("DB_PASSWORD", "SECRET"):
        assert deployment.environ[name] not in answer.text


def test_a_token_that_somebody_writes_is_masked_in_the_log(deployment: Deployment) -> None:
    token = "open-sesame-open-sesame"
    file = deployment.folder / "token"
    file.write_text(token)
    deployment.environ |= {
        "SUPERVISOR_STATUS_TOKEN_FILE": str(file),
        "SUPERVISOR_COMMAND": shlex.join(["/bin/sh", "-c", f"echo {token} is it; exec sleep 600"]),
    }
    with deployment.start("run") as process:
        process.wait_for("process.output", message="[redacted] is it")
    assert token not in process.text


def test_an_error_of_directus_health_makes_it_not_ready_where_that_is_asked_for(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "503",
        "SUPERVISOR_READY_HEALTH_INTERVAL_S": "0.05",
    }
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        eventually(lambda: get(process, "/readyz").status_code == 503, timeout_s=20)
        assert "/server/health" in get(process, "/readyz").json()["reason"]
        assert get(process, "/livez").status_code == 200


@contextmanager
def in_background(work: Callable[[], None], threads: int) -> Iterator[None]:
    """Do `work` again and again in threads for the duration of the context."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                work()
            except (OSError, http.client.HTTPException):
                continue

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in running:
            thread.join()


def probe_flood(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for _ in range(200):
        connection.request("GET", "/readyz?verbose")
        connection.getresponse().read()
    connection.close()


def pipelined_flood(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
        stream.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        while stream.recv(65536):
            pass


def connection_flood(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            half.sendall(b"GET /livez HT")


def garbage_flood(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
        stream.sendall(bytes(range(256)) * 64)
        stream.recv(4096)


@pytest.mark.parametrize("flood", [probe_flood, pipelined_flood, connection_flood, garbage_flood])
def test_a_flood_delays_neither_a_reap_nor_a_probe_nor_a_signal(
    deployment: Deployment, flood: Callable[[int], None]
) -> None:
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join([sys.executable, str(_MEASURE)])
    deployment.environ["SUPERVISOR_READY_TIMEOUT_S"] = "600"
    with deployment.start("run") as process:
        port = port_of(process)
        directus = process.wait_for("process.started", process="directus")["pid"]
        with in_background(lambda: flood(port), threads=2):
            before = len(reap_delays(process))
            eventually(lambda: len(reap_delays(process)) >= before + 12)
            began = time.monotonic()
            assert httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False, timeout=20).status_code == 200
            answered_s = time.monotonic() - began
            began = time.monotonic()
            process.signal(signal.SIGUSR1)
            process.wait_for("state.report")
            heard_s = time.monotonic() - began
            memory_mb = int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[1]) * 4096 / 2**20
            process.signal(signal.SIGTERM)
            process.expect_exit(0, timeout_s=20)
    assert is_gone(directus)
    delays = sorted(reap_delays(process)[before:])
    assert delays[len(delays) // 2] < _LONGEST_DELAY_S, delays
    assert answered_s < 2
    assert heard_s < 2
    assert memory_mb < 60
    assert not process.of("health.answer_failed")


def reap_delays(process: Supervised) -> list[float]:
    """Seconds that each orphan so far was a zombie."""
    messages = [record["message"] for record in process.of("process.output", process="directus")]
    return [float(message.split()[-1]) for message in messages if message.startswith("reaped after")]
