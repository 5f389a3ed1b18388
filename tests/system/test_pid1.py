"""`run` as PID 1 of a PID namespace of its own, as in a container, and the health port from the first second on."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.harness import Deployment, Record, Supervised, children, eventually, free_port, is_gone

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
DAEMONISER = Path(__file__).parents[1] / "programs" / "daemoniser.py"
_HANDLED = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def _namespaces_are_allowed() -> None:
    try:
        done = subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True)
    except OSError as error:
        pytest.skip(f"unshare does not run: {error}")
    if done.returncode:
        pytest.skip(f"no PID namespace can be made here: {done.stderr.decode()}")


def pid1(process: Supervised) -> int:
    """The supervisor's pid as it is seen from outside its namespace."""
    eventually(lambda: bool(children(process.process.pid)))
    return children(process.process.pid)[0]


def namespace_of(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def members(namespace: str | None) -> list[int]:
    """Pids, seen from here, of everything in a namespace."""
    assert namespace is not None
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if namespace_of(pid) == namespace]


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        found = _HANDLED.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def probe(process: Supervised, path: str) -> tuple[int, Record]:
    port = process.wait_for("health.listening")["port"]
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
    return answer.status_code, answer.json()


def has_said(process: Supervised, text: str) -> bool:
    """Whether Directus, or what runs in its place, has written this."""
    return any(text in record["message"] for record in process.of("process.output"))


def daemonising(deployment: Deployment, *, short_lived: int = 0, stubborn: int = 0) -> Deployment:
    argv = [sys.executable, str(DAEMONISER), str(short_lived), str(stubborn)]
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join(argv)
    return deployment


@pytest.mark.pidns
@pytest.mark.directus
def test_the_real_directus_is_served_and_stopped_cleanly_under_pid_1(migrated_rally: Deployment) -> None:
    migrated_rally.without_schema().environ["LOG_LEVEL"] = "trace"
    with migrated_rally.start("run", prefix=NAMESPACE) as process:
        started = process.wait_for("supervisor.started")
        assert started["pid"] == 1
        assert probe(process, "/livez")[0] == 200

        process.wait_for("process.ready", how="message")
        assert httpx.get(f"{migrated_rally.url}/server/ping", trust_env=False).text == "pong"
        eventually(lambda: probe(process, "/readyz")[0] == 200)
        assert probe(process, "/startupz")[0] == 200
        assert probe(process, "/livez")[0] == 200

        supervisor = pid1(process)
        namespace = namespace_of(supervisor)
        inside = members(namespace)
        assert len(inside) == 2
        os.kill(supervisor, signal.SIGTERM)
        process.expect_exit(0)
        assert all(map(is_gone, inside))
        assert members(namespace) == []

    (ended,) = process.of("process.exited", process="directus")
    assert ended["signal"] == "SIGTERM"
    assert ended["expected"] is True
    assert not process.of("process.killed")
    assert process.of("process.output", process="directus", level="warning")
    assert process.of("process.output", process="directus", level="info")
    assert process.of("process.output", process="directus", level="debug")
    for line in process.text.splitlines():
        record = json.loads(line)
        assert {"timestamp", "level", "event", "component", "boot_id"} <= record.keys()
        assert record["boot_id"] == started["boot_id"]
    for name in ("DB_PASSWORD", "SECRET", "ADMIN_PASSWORD"):
        assert migrated_rally.environ[name] not in process.text


@pytest.mark.pidns
def test_orphans_are_reaped(deployment: Deployment) -> None:
    with daemonising(deployment, short_lived=20).start("run", prefix=NAMESPACE) as process:
        process.wait_for("process.ready")
        eventually(lambda: len(process.of("orphan.reaped")) == 20)
        inside = members(namespace_of(pid1(process)))
        assert len(inside) == 2
        assert not any(map(is_gone, inside))
        os.kill(pid1(process), signal.SIGTERM)
        process.expect_exit(0)


@pytest.mark.pidns
def test_an_orphan_in_its_own_session_that_ignores_term_is_killed_at_the_stop(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "1"
    with daemonising(deployment, short_lived=3, stubborn=2).start("run", prefix=NAMESPACE) as process:
        process.wait_for("process.ready")
        eventually(lambda: sum("stubborn" in record["message"] for record in process.of("process.output")) == 2)
        os.kill(pid1(process), signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)
    killed = process.of("process.killed", process="orphan")
    assert sum(len(record["pids"]) for record in killed) == 2


@pytest.mark.pidns
def test_a_second_stop_signal_ends_the_orphans_at_once(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "600"
    with daemonising(deployment, stubborn=1).start("run", prefix=NAMESPACE) as process:
        process.wait_for("process.ready")
        eventually(partial(has_said, process, "stubborn"))
        os.kill(pid1(process), signal.SIGTERM)
        process.wait_for("process.exited", process="directus")
        os.kill(pid1(process), signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)


@pytest.mark.pidns
def test_the_orphans_share_the_stop_timeout_with_directus(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "3"}
    stand_in = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules/@directus/api/dist/cli/run.js")
    left_behind = f"{sys.executable} {DAEMONISER} 0 1 & exec {deployment.environ['SUPERVISOR_NODE']} {stand_in} start"
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join(["/bin/sh", "-c", left_behind])
    with deployment.start("run", prefix=NAMESPACE) as process:
        for line in ("stubborn", "Server started at"):
            eventually(partial(has_said, process, line))
        began = time.monotonic()
        os.kill(pid1(process), signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)
        assert time.monotonic() - began < 5.5
    assert process.of("process.killed", process="orphan")


@pytest.mark.pidns
def test_a_stop_right_after_the_start_is_not_lost(deployment: Deployment) -> None:
    deployment.environ["DB_PORT"] = str(free_port())
    with deployment.start("run", prefix=NAMESPACE) as process:
        supervisor = pid1(process)
        eventually(lambda: catches(supervisor, signal.SIGTERM), timeout_s=10)
        os.kill(supervisor, signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)
    assert process.of("supervisor.stopped", exit_code=0)
    assert not process.of("boot.started")


def test_a_stopped_migration_does_not_pass_for_a_finished_one(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("migrate") as process:
        process.wait_for("process.output", message="hanging")
        process.signal(signal.SIGTERM)
        process.expect_exit(128 + signal.SIGTERM, timeout_s=20)


def test_a_step_dies_with_its_supervisor(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("migrate") as process:
        node = process.wait_for("directus.step", step="bootstrap")["pid"]
        process.wait_for("process.output", message="hanging")
        process.signal(signal.SIGKILL)
        process.expect_exit(-signal.SIGKILL)
    try:
        eventually(lambda: is_gone(node), timeout_s=10)
    finally:
        if not is_gone(node):
            os.kill(node, signal.SIGKILL)


def test_the_probes_answer_while_postgres_is_awaited(deployment: Deployment) -> None:
    deployment.environ["DB_PORT"] = str(free_port())
    with deployment.start("run") as process:
        process.wait_for("postgres.waiting")
        assert probe(process, "/livez")[0] == 200
        for path in ("/readyz", "/startupz"):
            status, body = probe(process, path)
            assert status == 503
            assert body["ok"] is False
            assert body["state"] == "migrating"
            assert "wait_for_postgres" in body["reason"]
        process.signal(signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)
