"""`run` against a stand-in that misbehaves on demand; the real Directus is in test_real_directus.py."""

from __future__ import annotations

import signal
import time

from tests.harness import Deployment


def test_directus_is_ready_when_it_says_so_on_its_channel(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        assert process.wait_for("process.ready")["how"] == "message"


def test_directus_is_ready_when_it_only_answers_the_ping(deployment: Deployment) -> None:
    deployment.environ["STAND_IN"] = "serve-without-a-word"
    with deployment.start("run") as process:
        assert process.wait_for("process.ready")["how"] == "probe"


def test_a_stop_when_ready_ends_with_status_0(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


def test_a_child_that_ignores_term_is_killed_after_the_stop_timeout(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "0.5"}
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
        process.wait_for("process.killed")


def test_a_second_stop_signal_does_not_wait_for_the_stop_timeout(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "600"}
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.wait_for("process.output", message="no")
        process.signal(signal.SIGTERM)
        process.expect_exit(0, timeout_s=20)


def test_a_death_is_followed_by_a_restart(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "die-once", "STAND_IN_MARK": str(deployment.folder / "mark")}
    with deployment.start("run") as process:
        process.wait_for("process.restarting", restart=1)
        process.wait_for("process.ready")


def test_repeated_deaths_end_with_status_7_and_the_last_line(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "die-at-once",
        "SUPERVISOR_RESTART_LIMIT": "2",
        "SUPERVISOR_RESTART_BACKOFF_S": "0.01",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert process.failure["code"] == "directus.crash_loop"
    assert process.failure["deaths"] == 3
    assert "cannot go on" in process.failure["message"]


def test_a_process_that_is_never_ready_is_restarted_and_given_up(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "never-ready",
        "SUPERVISOR_READY_TIMEOUT_S": "0.5",
        "SUPERVISOR_RESTART_LIMIT": "0",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert process.of("process.not_ready")
    assert "not ready within 0.5 s" in process.failure["message"]


def test_a_stop_during_the_backoff_ends_at_once(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "die-at-once", "SUPERVISOR_RESTART_BACKOFF_S": "600"}
    deployment.environ |= {"SUPERVISOR_RESTART_BACKOFF_MAX_S": "600"}
    with deployment.start("run") as process:
        process.wait_for("process.restarting")
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
        assert time.monotonic() - began < 10


def test_no_secret_appears_in_any_line(deployment: Deployment) -> None:
    deployment.environ["STAND_IN"] = "leak-secrets"
    with deployment.start("run") as process:
        process.wait_for("process.output", stream="stderr")
        process.wait_for("process.output", stream="stdout", message="the password is [redacted]")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    for name in ("DB_PASSWORD", "SECRET", "ADMIN_PASSWORD"):
        assert deployment.environ[name] not in process.text


def test_a_command_that_does_not_exist_ends_with_status_127(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_COMMAND"] = "/no/such/program --at all"
    with deployment.start("run") as process:
        process.expect_exit(127)
    assert "/no/such/program does not exist" in process.failure["message"]


def test_a_command_that_cannot_be_executed_ends_with_status_126(deployment: Deployment) -> None:
    program = deployment.folder / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    deployment.environ["SUPERVISOR_COMMAND"] = str(program)
    with deployment.start("run") as process:
        process.expect_exit(126)
    assert "cannot be executed: Permission denied" in process.failure["message"]
