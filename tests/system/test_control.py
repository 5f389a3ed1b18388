"""The commands that talk to a running supervisor, over its socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Deployment, Supervised, eventually


def command(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "supervisor", *arguments]
    return subprocess.run(
        argv, env=deployment.environ, cwd=deployment.folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_commands_show_and_steer_a_running_supervisor(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_a.sql", "CREATE TABLE a (i int);")
    with deployment.start("run") as process:
        first = process.wait_for("process.started", process="directus")["pid"]
        process.wait_for("process.ready")
        control = Path(deployment.environ["SUPERVISOR_SOCKET"])
        assert stat.S_IMODE(control.stat().st_mode) == 0o600

        shown = command(deployment, "status")
        assert shown.returncode == 0
        for word in ("ready", "pre_schema", "001_a.sql", "directus", str(first)):
            assert word in shown.stdout
        picture = json.loads(command(deployment, "status", "--json").stdout)
        assert picture["state"]["name"] == "ready"

        lines = command(deployment, "logs", "--process", "directus", "--json", "-n", "2").stdout.splitlines()
        assert len(lines) == 2
        assert {json.loads(line)["process"] for line in lines} == {"directus"}

        done = command(deployment, "reload")
        assert (done.returncode, done.stderr) == (0, "")
        assert "ready again" in done.stdout
        picture = json.loads(command(deployment, "status", "--json").stdout)
        (directus,) = picture["processes"]
        assert directus["pid"] != first
        assert directus["restarts"] == {"reload": 1}
        assert picture["last_incident"] is None
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert not control.exists()
    assert process.of("control.used", action="reload", through="socket")


def test_the_log_level_is_changed_while_it_runs(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        before = command(deployment, "log-level").stdout
        assert before == "debug\n"
        done = command(deployment, "log-level", "warning")
        assert (done.returncode, done.stderr) == (0, "")
        assert command(deployment, "log-level").stdout == "warning\n"
        done = command(deployment, "log-level", "debug", "--component", "postgers")
        assert (done.returncode, done.stdout) == (1, "")
        assert "postgres" in done.stderr
        assert command(deployment, "log-level", "--component", "postgres").returncode == 64
        assert "of postgres" in command(deployment, "log-level", "debug", "--component", "postgres").stdout
        process.signal(signal.SIGUSR1)
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert not process.of("state.report")
    assert not process.of("supervisor.stopped")


def test_top_shows_the_run_live_on_a_terminal_until_interrupted(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        first = process.wait_for("process.started", process="directus")["pid"]
        process.wait_for("process.ready")
        argv = [sys.executable, "-m", "supervisor", "top"]
        ours, theirs = os.openpty()
        os.set_blocking(ours, False)
        shown = bytearray()

        def shows(text: str) -> bool:
            with contextlib.suppress(BlockingIOError):
                shown.extend(os.read(ours, 65536))
            return text in shown.decode(errors="replace").rpartition("\x1b[H\x1b[J")[2]

        with subprocess.Popen(
            argv, env=deployment.environ, cwd=deployment.folder, stdin=theirs, stdout=theirs, stderr=theirs
        ) as top:
            os.close(theirs)
            eventually(lambda: shows(f"  {first}  "))
            os.kill(int(first), signal.SIGKILL)
            eventually(lambda: shows("signal 1"))
            top.send_signal(signal.SIGINT)
            assert top.wait(10) == 0
        os.close(ours)
        assert b"Traceback" not in shown


def test_the_log_is_followed_as_it_comes(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        follower = Supervised(
            [sys.executable, "-m", "supervisor", "logs", "--follow", "--json", "--lines", "1"],
            deployment.environ,
            deployment.folder,
        )
        with follower:
            eventually(lambda: bool(follower.text))
            process.signal(signal.SIGUSR1)
            follower.wait_for("state.report")
            process.signal(signal.SIGTERM)
            process.expect_exit(0)
            follower.expect_exit(0, timeout_s=20)


def test_the_socket_of_a_dead_supervisor_is_replaced(deployment: Deployment) -> None:
    path = deployment.environ["SUPERVISOR_SOCKET"]
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with deployment.start("run") as process:
        process.wait_for("control.listening", path=path)
        assert command(deployment, "status").returncode == 0


def test_the_socket_of_a_living_one_is_not(deployment: Deployment, tmp_path: Path) -> None:
    path = deployment.environ["SUPERVISOR_SOCKET"]
    deployment.environ |= {"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(path)
        living.listen()
        inode = Path(path).stat().st_ino
        with deployment.start("run") as process:
            record = process.wait_for("control.unavailable")
            assert "another supervisor answers there" in record["reason"]
            process.wait_for("process.ready")
        assert Path(path).stat().st_ino == inode


def test_without_a_supervisor_the_commands_say_where_they_looked(deployment: Deployment, tmp_path: Path) -> None:
    deployment.environ |= {"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    if Path("/run/directus-supervisor.sock").exists():
        pytest.fail("a supervisor of somebody else runs here")
    for name in ("status", "top", "logs", "log-level", "reload"):
        done = command(deployment, name)
        assert done.returncode == 64
        assert deployment.environ["SUPERVISOR_SOCKET"] in done.stderr
        assert "docker exec" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_is_told_and_directus_does_not_know_it(deployment: Deployment, abstract: bool) -> None:
    name = f"@supervisor-test-{os.getpid()}" if abstract else str(deployment.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1))
        manager.settimeout(30)
        deployment.environ |= {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"}
        told: list[str] = []

        def until(word: str) -> None:
            while not any(word in message.splitlines() for message in told):
                told.append(manager.recv(4096).decode())

        with deployment.start("run") as process:
            until("READY=1")
            until("WATCHDOG=1")
            pid = process.wait_for("process.started", process="directus")["pid"]
            environment = Path(f"/proc/{pid}/environ").read_text()
            assert "NOTIFY_SOCKET" not in environment
            assert "WATCHDOG_" not in environment
            process.signal(signal.SIGTERM)
            until("STOPPING=1")
            process.expect_exit(0)
    assert any("STATUS=ready" in message for message in told)
