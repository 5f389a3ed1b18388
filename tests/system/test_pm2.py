"""The PM2_* variables of the official image, honoured or named, from the environment to what happens."""

from __future__ import annotations

import shlex
import signal
import sys

from tests.harness import Deployment

DESCRIBE = "import os; print('got:', *sorted(name for name in os.environ if name.startswith('PM2')), flush=True)"


def test_pm2_max_restarts_bounds_the_restarts(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "PM2_MAX_RESTARTS": "1", "PM2_RESTART_DELAY": "0"}
    with deployment.start("run") as process:
        process.expect_exit(7)
    (restarting,) = process.of("process.restarting")
    assert (restarting["limit"], restarting["delay_s"]) == (1, 0)
    assert process.failure["deaths"] == 2


def test_without_pm2_auto_restart_the_first_death_is_the_last(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "serve-then-end", "PM2_AUTO_RESTART": "false", "PM2_MAX_RESTARTS": "16"}
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert not process.of("process.restarting")
    assert process.failure["code"] == "directus.crash_loop"


def test_pm2_restart_delay_is_kept_even_above_our_cap(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "PM2_RESTART_DELAY": "60000", "SUPERVISOR_RESTART_JITTER": "0"}
    with deployment.start("run") as process:
        assert process.wait_for("process.restarting")["delay_s"] == 60
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


def test_pm2_max_memory_restart_is_the_memory_limit(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "eat-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_MEGABYTES": "400",
        "PM2_MAX_MEMORY_RESTART": "300M",
        "SUPERVISOR_WATCH_INTERVAL_S": "0.1",
    }
    with deployment.start("run") as process:
        assert "more than the limit of 300 MB" in process.wait_for("process.restarting")["reason"]


def test_pm2_kill_timeout_is_the_stop_timeout(deployment: Deployment) -> None:
    del deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"]
    deployment.environ |= {"STAND_IN": "ignore-term", "PM2_KILL_TIMEOUT": "500"}
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert process.wait_for("process.stopping")["timeout_s"] == 0.5


def test_our_own_setting_goes_before_that_of_pm2(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "end", "PM2_MAX_RESTARTS": "5", "SUPERVISOR_RESTART_LIMIT": "0"}
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert not process.of("process.restarting")


def test_what_does_nothing_here_is_named_in_a_warning(deployment: Deployment) -> None:
    deployment.environ |= {"PM2_INSTANCES": "4", "PM2_EXEC_MODE": "cluster"}
    with deployment.start("run", "--once") as process:
        process.expect_exit(0)
    for variable in ("PM2_INSTANCES", "PM2_EXEC_MODE"):
        (warning,) = [record for record in process.of("config.warning") if variable in record["message"]]
        assert "does nothing here" in warning["message"]
        assert warning["remedy"] == f"Unset {variable}."


def test_values_that_cannot_be_read_are_refused_all_at_once(deployment: Deployment) -> None:
    wrong = {
        "PM2_MAX_RESTARTS": "many",
        "PM2_MAX_MEMORY_RESTART": "2 buckets",
        "PM2_KILL_TIMEOUT": "-1",
        "PM2_AUTO_RESTART": "perhaps",
    }
    deployment.environ |= wrong
    with deployment.start("run") as process:
        process.expect_exit(78)
    assert process.failure["code"] == "config.invalid"
    for variable, value in wrong.items():
        assert f"{variable} is {value!r}" in process.failure["message"]


def test_the_configuration_shown_names_the_variable_as_the_source(deployment: Deployment) -> None:
    deployment.environ |= {"PM2_MAX_RESTARTS": "3", "PM2_MIN_UPTIME": "10s"}
    with deployment.start("config") as process:
        process.expect_exit(0)
    lines = process.text.splitlines()
    for name, variable in (("restart_limit", "PM2_MAX_RESTARTS"), ("restart_stable_s", "PM2_MIN_UPTIME")):
        assert [line for line in lines if name in line.lower() and variable in line], process.text


def test_none_of_them_reaches_the_child(deployment: Deployment) -> None:
    deployment.environ |= {"PM2_HOME": "/tmp/pm2", "PM2_INSTANCES": "1", "PM2_MAX_RESTARTS": "0"}
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join([sys.executable, "-c", DESCRIBE])
    with deployment.start("run") as process:
        process.expect_exit(7)
    assert [record["message"] for record in process.of("process.output") if "got:" in str(record["message"])] == [
        "got:"
    ]
