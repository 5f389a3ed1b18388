"""Bad input: each ends with its own status, names the file or the variable, and says what to do."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Deployment, Record, Supervised

STAND_IN_API = Path("node_modules", "@directus", "api")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def failure_of(deployment: Deployment, command: str, status: int) -> Record:
    """How the command failed; every failure says what to do, and starts no Directus."""
    with deployment.start(command) as process:
        process.expect_exit(status)
    failure = process.failure
    assert failure["exit_code"] == status
    assert failure["remedy"]
    assert not process.of("process.started")
    return failure


def schema_phase(process: Supervised) -> Record:
    (record,) = process.of("phase.finished", phase="schema_apply")
    return record


def test_an_absent_snapshot_is_skipped_and_said_so(deployment: Deployment) -> None:
    phase = schema_phase(deployment.migrate())
    assert phase["outcome"] == "skipped"
    assert phase["summary"] == f"there is no snapshot at {deployment.snapshot}"


@pytest.mark.parametrize("text", ["", " \n\t\r\n \n"])
def test_a_snapshot_without_content_is_skipped_and_said_so(deployment: Deployment, text: str) -> None:
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_text(text)
    phase = schema_phase(deployment.migrate())
    assert phase["outcome"] == "skipped"
    assert phase["summary"] == f"the snapshot {deployment.snapshot} is empty"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version: 1\ncollections:\n  - collection: a\n   bad: [\n", ":4:"),
        (b"- a list\n", ":1:1: the snapshot is not a mapping"),
        (b"just a text", ":1:1: the snapshot is not a mapping"),
        (b"version: 1\nfields: []\nrelations: []\n", ":1:1: 'collections' is missing"),
        (b"collections: []\nfields: [{collection: a}]\nrelations: []\n", ":2:10: an item of 'fields' has no 'field'"),
        (b"# only a comment\n", " holds nothing but comments"),
    ],
)
def test_a_broken_snapshot_is_named_with_the_place(deployment: Deployment, content: bytes, reason: str) -> None:
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_bytes(content)
    failure = failure_of(deployment, "migrate", 5)
    assert failure["code"] == "schema.snapshot_invalid"
    assert failure["message"].startswith(str(deployment.snapshot))
    assert reason in failure["message"]
    assert failure["last_lines"] == []


def test_a_snapshot_that_is_no_text_is_named(deployment: Deployment) -> None:
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_bytes(b"\xff\xfe\x00")
    failure = failure_of(deployment, "migrate", 5)
    assert failure["code"] == "schema.snapshot_invalid"
    assert str(deployment.snapshot) in failure["message"]


def test_a_folder_in_place_of_the_snapshot_is_named(deployment: Deployment) -> None:
    deployment.snapshot.mkdir(parents=True)
    failure = failure_of(deployment, "migrate", 5)
    assert failure["code"] == "schema.snapshot_invalid"
    assert str(deployment.snapshot) in failure["message"]


def test_a_missing_node_is_named(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_NODE"] = "/nowhere/node"
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "directus.node_not_found"
    assert "/nowhere/node" in failure["message"]
    assert "SUPERVISOR_NODE" in failure["remedy"]


def test_no_node_on_the_path_is_said(deployment: Deployment) -> None:
    del deployment.environ["SUPERVISOR_NODE"]
    deployment.environ["PATH"] = str(deployment.folder)
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "directus.node_not_found"
    assert "PATH" in failure["message"]


def test_a_missing_directus_folder_is_named_with_what_was_looked_for(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_DIRECTUS_DIR"] = "/nowhere"
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "directus.not_found"
    assert "/nowhere/cli.js" in failure["message"]
    assert "SUPERVISOR_DIRECTUS_DIR" in failure["remedy"]


def test_an_incomplete_installation_is_named(deployment: Deployment) -> None:
    directus = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"])
    shutil.rmtree(directus / STAND_IN_API)
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "directus.not_found"
    assert "@directus/api" in failure["message"]
    assert "incomplete" in failure["remedy"]


def test_a_missing_secret_is_a_warning(deployment: Deployment) -> None:
    del deployment.environ["SECRET"]
    with deployment.start("run") as process:
        warning = process.wait_for("config.warning")
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert "SECRET is not set" in warning["message"]
    assert "SECRET_FILE" in warning["remedy"]
    assert warning["level"] == "warning"


def test_a_taken_port_is_found_before_directus_is_started(deployment: Deployment, taken_port: int) -> None:
    deployment.environ["PORT"] = str(taken_port)
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "directus.port_taken"
    assert f"127.0.0.1:{taken_port}" in failure["message"]
    assert "PORT" in failure["remedy"]


def test_a_taken_health_port_ends_the_run_before_the_first_phase(deployment: Deployment, taken_port: int) -> None:
    deployment.environ["SUPERVISOR_HEALTH_PORT"] = str(taken_port)
    with deployment.start("run") as process:
        process.expect_exit(78)
    assert process.failure["code"] == "health.port_taken"
    assert f"127.0.0.1:{taken_port}" in process.failure["message"]
    assert "SUPERVISOR_HEALTH_PORT" in process.failure["remedy"]
    assert not process.of("phase.started")


def test_another_database_than_postgres_is_refused(deployment: Deployment) -> None:
    deployment.environ["DB_CLIENT"] = "mysql"
    failure = failure_of(deployment, "migrate", 78)
    assert failure["code"] == "config.invalid"
    assert "DB_CLIENT" in failure["message"]
    assert "mysql" in failure["message"]


def test_all_bad_settings_are_told_at_once(deployment: Deployment) -> None:
    del deployment.environ["DB_HOST"]
    deployment.environ |= {
        "SUPERVISOR_STOP_TIMEOUT_S": "soon",
        "SUPERVISOR_LOG_FORMATT": "json",
        "SUPERVISOR_NODE": "/nowhere/node",
        "PORT": "http",
    }
    failure = failure_of(deployment, "run", 78)
    assert failure["code"] == "config.invalid"
    for name in (
        "SUPERVISOR_STOP_TIMEOUT_S",
        "SUPERVISOR_LOG_FORMATT is not a setting; did you mean SUPERVISOR_LOG_FORMAT?",
        "/nowhere/node",
        "DB_HOST",
        "PORT is 'http'",
    ):
        assert name in failure["message"]


def test_a_command_that_does_not_exist_ends_with_the_shells_status(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_COMMAND"] = "/nowhere/program"
    with deployment.start("run") as process:
        process.expect_exit(127)
    assert "/nowhere/program" in process.failure["message"]


def test_a_command_that_is_no_program_ends_with_the_shells_status(deployment: Deployment) -> None:
    script = deployment.folder / "not-executable"
    script.write_text("#!/bin/sh\n")
    deployment.environ["SUPERVISOR_COMMAND"] = str(script)
    with deployment.start("run") as process:
        process.expect_exit(126)
    assert str(script) in process.failure["message"]


def test_a_bootstrap_that_claims_success_is_not_believed(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "lie"
    failure = failure_of(deployment, "migrate", 5)
    assert failure["code"] == "directus.bootstrap_failed"
    assert "isn't installed" in failure["message"]


def test_a_bootstrap_that_fails_is_told_with_its_last_line(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "fail"
    failure = failure_of(deployment, "migrate", 5)
    assert "status 1; its last words: error: something is wrong" in failure["message"]


def test_a_bootstrap_that_hangs_is_ended_by_the_step_timeout(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN_BOOTSTRAP": "hang", "SUPERVISOR_STEP_TIMEOUT_S": "1.5"}
    failure = failure_of(deployment, "migrate", 5)
    assert "took too long and was stopped" in failure["message"]
