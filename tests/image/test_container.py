"""Containers of the image against a real PostgreSQL: what an operator does with them."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import children, eventually, is_gone
from tests.image.conftest import Start
from tests.image.podman import Container

# Nobody and no group that the image knows, as some platforms choose for each project.
UNPRIVILEGED = ("--user=12345:0", "--cap-drop=all", "--security-opt=no-new-privileges")
READ_ONLY = ("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp")
HARDENED = (*UNPRIVILEGED, *READ_ONLY)
BOOT_S = 180.0
# Above what Directus takes to stop, below SUPERVISOR_STOP_TIMEOUT_S and podman's own ten seconds.
STOP_S = 7.0

Measured = Callable[[str, str], None]


def _ready(container: Container) -> float:
    """Seconds from the first line to a ready Directus."""
    ready = container.wait_for("process.ready", BOOT_S)
    return (_when(ready) - _when(container.records[0])).total_seconds()


def _when(record: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(record["timestamp"]))


def _answers(environ: dict[str, str], path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{environ['PORT']}{path}", timeout=10) as response:
        return int(response.status)


def _outcomes(container: Container) -> dict[str, object]:
    return {record["phase"]: record["outcome"] for record in container.of("phase.finished")}


def test_a_database_and_a_secret_are_all_that_a_fresh_boot_needs(
    start: Start, environ: dict[str, str], session: Session, measured: Measured
) -> None:
    container = start(environ=environ)

    container.wait_for("health.listening")
    assert container.check_health() != ""
    measured("fresh boot, first line to ready", f"{_ready(container):.1f} s")
    assert container.check_health() == ""
    assert _answers(environ, "/server/ping") == 200
    assert session.value("SELECT count(*) FROM directus_collections WHERE collection = 'entry_crew'") == 1

    began = time.monotonic()
    assert container.stop() == 0
    took = time.monotonic() - began
    measured("podman stop of a ready container", f"{took:.2f} s")
    assert took < STOP_S
    assert container.of("supervisor.stopped", exit_code=0)


def test_a_warm_boot_changes_nothing(start: Start, migrated_environ: dict[str, str], measured: Measured) -> None:
    container = start(environ=migrated_environ)

    measured("warm boot, first line to ready", f"{_ready(container):.1f} s")
    assert "changed" not in _outcomes(container).values()
    assert container.stop() == 0


def test_the_second_migrate_changes_nothing_on_a_read_only_root_and_without_privileges(
    start: Start, environ: dict[str, str]
) -> None:
    first = start("migrate", environ=environ, options=HARDENED)
    first.expect_exit(0, BOOT_S)
    second = start("migrate", environ=environ, options=HARDENED)
    second.expect_exit(0, BOOT_S)

    assert "changed" in _outcomes(first).values()
    assert "changed" not in _outcomes(second).values()
    assert not second.of("directus.step")


def test_directus_serves_and_stores_on_a_read_only_root_and_without_privileges(
    start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    uploads.chmod(0o777)
    environ |= {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "a-password-for-tests"}
    container = start(environ=environ, options=(*HARDENED, f"--volume={uploads}:/directus/uploads"))
    _ready(container)

    status = container.exec("cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Uid:\t12345\t" in status
    assert container.check_health() == ""
    assert json.loads(container.exec("directus-supervisor", "status", "--json"))["state"]["name"] == "ready"
    assert _upload(environ) == b"a stored file"
    assert container.stop() == 0
    assert not [record for record in container.records if record.get("level") == "error"], container.text


def _upload(environ: dict[str, str]) -> bytes:
    """Store a file and read it again, as a user of the app does."""
    url = f"http://127.0.0.1:{environ['PORT']}"
    login = json.dumps({"email": environ["ADMIN_EMAIL"], "password": environ["ADMIN_PASSWORD"]}).encode()
    request = urllib.request.Request(f"{url}/auth/login", login, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        token = json.load(response)["data"]["access_token"]
    edge = uuid.uuid4().hex
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\na stored file\r\n--{edge}--\r\n"
    ).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={edge}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/files", body, headers), timeout=30) as response:
        identity = json.load(response)["data"]["id"]
    request = urllib.request.Request(f"{url}/assets/{identity}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        content: bytes = response.read()
    return content


def test_the_supervisor_is_pid_1_and_reaps_orphans_that_it_never_started(
    start: Start, migrated_environ: dict[str, str]
) -> None:
    container = start(environ=migrated_environ | {"SUPERVISOR_LOG_LEVEL": "debug"})
    _ready(container)

    assert "directus-supervisor" in container.exec("cat", "/proc/1/cmdline").split("\0")[1]
    container.exec("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 & exec true) & done; wait")

    init = container.init_pid
    eventually(lambda: len(container.of("orphan.reaped")) >= 5)
    assert not [pid for pid in children(init) if is_gone(pid)]
    assert container.stop() == 0


def test_a_container_that_is_stopped_at_once_ends_at_once(start: Start, migrated_environ: dict[str, str]) -> None:
    container = start(environ=migrated_environ)
    eventually(lambda: container.podman.attempt("container", "exists", container.name).returncode == 0)
    eventually(lambda: container.inspect()["State"]["Status"] == "running")

    began = time.monotonic()
    assert container.stop() == 0
    assert time.monotonic() - began < STOP_S


def test_a_container_without_any_settings_says_what_is_missing(start: Start) -> None:
    container = start(environ={})

    container.expect_exit(78)
    assert container.failure["code"] == "config.invalid"
    assert "DB_HOST" in container.failure["message"]
    assert "sqlite" not in container.text


def test_the_first_line_of_a_cold_container_comes_at_once(start: Start, measured: Measured) -> None:
    inside, outside = [], []
    for _ in range(7):
        began = time.time()
        # Nothing is set: the first line comes before that is told.
        container = start("migrate", environ={})
        first = _when(container.wait_for("supervisor.started"))
        container.expect_exit(78)
        inside.append((first - _started_at(container)).total_seconds())
        outside.append(first.timestamp() - began)

    for what, took in (("podman run", outside), ("the start of PID 1", inside)):
        measured(f"{what} to the first log line", f"{statistics.median(took):.2f} s, best {min(took):.2f} s")
    assert min(inside) < 1.0


def _started_at(container: Container) -> datetime:
    # To the nanosecond; Python reads microseconds.
    text = str(container.inspect()["State"]["StartedAt"])
    return datetime.fromisoformat(f"{text[:19]}.{text[20:26].rstrip('Z'):0<6}+00:00")


def test_a_health_check_is_cheap(start: Start, migrated_environ: dict[str, str], measured: Measured) -> None:
    container = start(environ=migrated_environ)
    _ready(container)

    took = []
    for _ in range(5):
        began = time.monotonic()
        assert container.check_health() == ""
        took.append(time.monotonic() - began)

    measured("one HEALTHCHECK, podman's part included", f"{statistics.median(took):.2f} s")
    assert statistics.median(took) < 2.0


def test_a_wrong_password_ends_it_at_once_and_names_the_variable(start: Start, cluster: PostgresCluster) -> None:
    environ = cluster.directus_env("postgres") | {"DB_PASSWORD": "wrong", "SECRET": "x" * 32}
    container = start("migrate", environ=environ)

    container.expect_exit(78)
    assert container.failure["code"] == "postgres.refused"
    assert "DB_PASSWORD" in container.failure["message"] + container.failure["remedy"]
