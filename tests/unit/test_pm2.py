"""The PM2_* variables of the official image."""

from __future__ import annotations

import pytest

from supervisor.pm2 import translate
from supervisor.settings import SPECS


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("PM2_KILL_TIMEOUT", "1600", "stop_timeout_s", 1.6),
        ("PM2_MIN_UPTIME", "1000", "restart_stable_s", 1.0),
        ("PM2_MIN_UPTIME", "10s", "restart_stable_s", 10.0),
        ("PM2_MIN_UPTIME", "5m", "restart_stable_s", 300.0),
        ("PM2_MIN_UPTIME", "1h", "restart_stable_s", 3600.0),
        ("PM2_RESTART_DELAY", "250", "restart_backoff_s", 0.25),
        ("PM2_MAX_RESTARTS", "16", "restart_limit", 16),
        ("PM2_MAX_MEMORY_RESTART", "512M", "memory_limit_mb", 512.0),
        ("PM2_MAX_MEMORY_RESTART", "1.5G", "memory_limit_mb", 1536.0),
        ("PM2_MAX_MEMORY_RESTART", "1048576", "memory_limit_mb", 1.0),
        ("PM2_MAX_MEMORY_RESTART", "2048K", "memory_limit_mb", 2.0),
        ("PM2_AUTO_RESTART", "false", "restart_limit", 0),
    ],
)
def test_a_variable_with_a_meaning_here_keeps_it(variable: str, text: str, setting: str, value: object) -> None:
    translation = translate({variable: text})
    assert translation.values == {setting: (value, variable)}
    assert not translation.problems


def test_without_restarts_the_number_of_restarts_does_not_count() -> None:
    translation = translate({"PM2_AUTO_RESTART": "false", "PM2_MAX_RESTARTS": "16"})
    assert translation.values == {"restart_limit": (0, "PM2_AUTO_RESTART")}


@pytest.mark.parametrize(
    ("variable", "text"),
    [("PM2_INSTANCES", "max"), ("PM2_EXEC_MODE", "cluster"), ("PM2_LISTEN_TIMEOUT", "9"), ("PM2_LOG_OUT_FILE", "/x")],
)
def test_a_variable_without_a_meaning_here_is_named(variable: str, text: str) -> None:
    assert list(translate({variable: text}).ignored) == [variable]


def test_what_is_so_anyway_is_not_named() -> None:
    assert not translate({"PM2_INSTANCES": "1", "PM2_EXEC_MODE": "fork", "PM2_LOG_OUT_FILE": ""}).ignored


def test_a_delay_above_the_cap_raises_the_cap() -> None:
    longest_s = SPECS["restart_backoff_max_s"].default
    assert isinstance(longest_s, float)
    assert "restart_backoff_max_s" not in translate({"PM2_RESTART_DELAY": str(longest_s * 1000)}).values
    translation = translate({"PM2_RESTART_DELAY": "60000"})
    assert translation.values["restart_backoff_max_s"] == (60.0, "PM2_RESTART_DELAY")


@pytest.mark.parametrize("text", ["yes", "1", "no"])
def test_an_automatic_restart_is_true_or_false(text: str) -> None:
    translation = translate({"PM2_AUTO_RESTART": text})
    assert translation.problems == (f"PM2_AUTO_RESTART is {text!r}, but must be true or false",)


def test_restarts_that_are_wanted_leave_the_limit_alone() -> None:
    assert not translate({"PM2_AUTO_RESTART": "true"}).values


@pytest.mark.parametrize("text", ["1.6s", "-1", "nan", "1e999x"])
def test_a_value_that_cannot_be_read_is_a_problem_that_names_its_variable(text: str) -> None:
    translation = translate({"PM2_KILL_TIMEOUT": text})
    assert not translation.values
    assert translation.problems == (f"PM2_KILL_TIMEOUT is {text!r}, but must be a number of milliseconds",)
