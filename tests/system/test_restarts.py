"""Deaths of Directus: restarted by the policy, given up with an account, or explained where no restart mends them."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.harness import Deployment, eventually, is_gone

FAST = {"SUPERVISOR_RESTART_BACKOFF_S": "0.01"}
LONG = {"SUPERVISOR_RESTART_BACKOFF_S": "600", "SUPERVISOR_RESTART_BACKOFF_MAX_S": "600"}
MISSING = '"KEY" Environment Variable is missing.'
REFUSED = "Error: connect ECONNREFUSED 127.0.0.1:5432"


def test_a_spent_budget_ends_with_status_7_and_an_account(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "end",
        "STAND_IN_STATUS": "42",
        "STAND_IN_WORDS": "the ship\nis sinking",
        "SUPERVISOR_RESTART_LIMIT": "2",
        "SUPERVISOR_RESTART_BACKOFF_S": "0.2",
        "SUPERVISOR_RESTART_BACKOFF_FACTOR": "3",
        "SUPERVISOR_RESTART_JITTER": "0",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    restarts = process.of("process.restarting")
    assert [record["delay_s"] for record in restarts] == [0.2, 0.6]
    assert [record["restart"] for record in restarts] == [1, 2]
    assert {(record["limit"], record["reason"], record["oom"]) for record in restarts} == {
        (2, "ended with status 42", False)
    }
    failure = process.failure
    assert failure["code"] == "directus.crash_loop"
    assert (failure["deaths"], failure["last_status"]) == (3, "status 42")
    assert failure["last_lines"] == ["the ship", "is sinking"], "the lines of the last life alone"
    assert "directus ended 3 times within" in failure["message"]
    assert "its last words: is sinking" in failure["message"]


def test_a_status_that_is_never_restarted_becomes_ours(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "serve-then-end",
        "STAND_IN_STATUS": "3",
        "SUPERVISOR_RESTART_NEVER_STATUSES": "0,3",
    }
    with deployment.start("run") as process:
        process.expect_exit(3)
    assert not process.of("process.restarting")
    assert not process.of("supervisor.failed")
    assert process.of("supervisor.stopped", exit_code=3)


def test_a_status_that_is_never_restarted_goes_before_an_explanation(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "STAND_IN_WORDS": MISSING, "SUPERVISOR_RESTART_NEVER_STATUSES": "1"}
    with deployment.start("run") as process:
        process.expect_exit(1)
    assert not process.of("supervisor.failed")


def test_a_fatal_status_is_given_up_at_once(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "serve-then-end",
        "STAND_IN_STATUS": "9",
        "SUPERVISOR_RESTART_FATAL_STATUSES": "9",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert not process.of("process.restarting")
    assert process.failure["deaths"] == 1
    assert "ended with status 9, which SUPERVISOR_RESTART_FATAL_STATUSES names" in process.failure["message"]


def test_lack_of_configuration_is_explained_and_not_looped(deployment: Deployment) -> None:
    deployment.environ |= {**FAST, "STAND_IN": "end", "STAND_IN_WORDS": MISSING}
    with deployment.start("run") as process:
        process.expect_exit(78)
    assert len(process.of("process.started")) == 1
    assert not process.of("process.restarting")
    assert process.failure["code"] == "directus.misconfigured"
    assert "the variable KEY is not set" in process.failure["message"]
    assert process.failure["last_lines"] == [MISSING]


def test_what_time_may_mend_goes_the_way_of_restarts(deployment: Deployment) -> None:
    deployment.environ |= {**FAST, "STAND_IN": "end", "STAND_IN_WORDS": REFUSED, "SUPERVISOR_RESTART_LIMIT": "1"}
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert process.failure["code"] == "directus.crash_loop"


def test_a_directus_that_was_ready_once_is_restarted_whatever_it_says(deployment: Deployment) -> None:
    deployment.environ |= {
        **FAST,
        "STAND_IN": "serve-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_WORDS": MISSING,
        "SUPERVISOR_RESTART_LIMIT": "2",
    }
    with deployment.start("run") as process:
        os.kill(process.wait_for("process.ready")["pid"], signal.SIGKILL)
        process.expect_exit(7)
    assert len(process.of("process.ready")) == 1
    assert len(process.of("process.started")) == 3
    assert process.failure["code"] == "directus.crash_loop"


def test_a_directus_that_is_killed_before_it_was_ready_is_restarted_whatever_it_said(deployment: Deployment) -> None:
    deployment.environ |= {**FAST, "STAND_IN": "say-and-hang", "STAND_IN_WORDS": MISSING}
    with deployment.start("run") as process:
        said = process.wait_for("process.output", message=MISSING)
        assert said
        os.kill(process.wait_for("process.started")["pid"], signal.SIGKILL)
        assert process.wait_for("process.restarting")["reason"] == "ended with signal SIGKILL"


def test_the_words_of_an_earlier_life_explain_nothing(deployment: Deployment) -> None:
    deployment.environ |= {
        **FAST,
        "STAND_IN": "hang-once-then-end",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_WORDS": MISSING,
        "SUPERVISOR_READY_TIMEOUT_S": "1",
        "SUPERVISOR_RESTART_LIMIT": "1",
    }
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert process.of("process.output", message=MISSING)
    assert process.failure["last_lines"] == []


def test_a_reload_ends_the_backoff(deployment: Deployment) -> None:
    deployment.environ |= {
        **LONG,
        "STAND_IN": "serve-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
    }
    with deployment.start("run") as process:
        os.kill(process.wait_for("process.ready")["pid"], signal.SIGKILL)
        process.wait_for("process.restarting", restart=1)
        process.signal(signal.SIGHUP)
        process.wait_for("process.restarting", restart=2)


@pytest.mark.parametrize("limit", ["0", "5"])
def test_a_death_while_draining_ends_the_stop_and_is_no_failure(deployment: Deployment, limit: str) -> None:
    deployment.environ |= {"SUPERVISOR_DRAIN_S": "600", "SUPERVISOR_RESTART_LIMIT": limit}
    with deployment.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        process.signal(signal.SIGTERM)
        process.wait_for("stop.draining")
        os.kill(pid, signal.SIGKILL)
        process.expect_exit(0, timeout_s=20)
    assert not process.of("supervisor.failed")
    assert not process.of("process.restarting")


def test_time_in_which_the_supervisor_was_stopped_does_not_make_directus_late(deployment: Deployment) -> None:
    mark = deployment.folder / "mark"
    timeout_s = 2.0
    deployment.environ |= {
        "STAND_IN": "serve-when-marked",
        "STAND_IN_MARK": str(mark),
        "SUPERVISOR_READY_TIMEOUT_S": str(timeout_s),
    }
    with deployment.start("run") as process:
        process.wait_for("process.started")
        began = time.monotonic()
        process.signal(signal.SIGSTOP)
        mark.touch()
        eventually(lambda: answers(deployment) and time.monotonic() - began > timeout_s)
        process.signal(signal.SIGCONT)
        process.wait_for("process.ready")
        assert not process.of("process.not_ready")


def answers(deployment: Deployment) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(deployment.environ["PORT"]))).close()
    except OSError:
        return False
    return True


@pytest.mark.directus
def test_the_real_directus_is_explained_and_not_looped(bootstrapped_rally: Deployment) -> None:
    bootstrapped_rally.without_schema().environ |= {"AUTH_PROVIDERS": "keycloak", "AUTH_KEYCLOAK_DRIVER": "openid"}
    with bootstrapped_rally.start("run") as process:
        process.expect_exit(78)
    assert not process.of("process.restarting")
    assert process.failure["code"] == "directus.misconfigured"
    assert "the authentication provider keycloak is not complete" in process.failure["message"]
    assert "Invalid provider config" in process.failure["last_lines"]


@pytest.mark.directus
def test_a_port_that_is_taken_after_the_preflight_is_explained(bootstrapped_rally: Deployment) -> None:
    with bootstrapped_rally.without_schema().start("run") as process, socket.socket() as squatter:
        pid = process.wait_for("process.started")["pid"]
        squatter.bind(("127.0.0.1", int(bootstrapped_rally.environ["PORT"])))
        squatter.listen()
        process.expect_exit(78)
    assert f"Port {bootstrapped_rally.environ['PORT']} is already in use" in process.failure["message"]
    assert is_gone(pid)
