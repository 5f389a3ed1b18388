"""The stream of lines: one shape, whoever speaks."""

from __future__ import annotations

import json
import logging
import os
import pty
from datetime import datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs import events, setup
from tests.unit.captured import Captured

REQUIRED = {"timestamp", "level", "event", "component", "boot_id"}


@pytest.fixture
def console(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Captured:
    monkeypatch.setattr(setup, "_is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    setup.set_up("console", "debug")
    return captured


def test_each_line_has_the_five_fields(captured: Captured) -> None:
    setup.get_log("boot").emit(events.BOOT_FINISHED, duration_s=1.5)
    record = captured.record
    assert record.keys() >= REQUIRED
    assert (record["level"], record["event"], record["component"]) == ("info", "boot.finished", "boot")
    assert record["boot_id"] == setup.boot_id
    assert record["duration_s"] == 1.5
    assert datetime.fromisoformat(record["timestamp"]).utcoffset() is not None
    assert record["timestamp"].endswith("Z")


@pytest.mark.parametrize("entry", events.CATALOGUE.values(), ids=lambda entry: entry.name)
def test_every_event_has_a_known_level_and_a_sentence(entry: events.Event) -> None:
    assert entry.level in events.LEVELS
    assert entry.meaning.endswith(".")


@pytest.mark.parametrize("threshold", ["debug", "info", "warning", "error"])
def test_lines_below_the_level_are_left_out(captured: Captured, threshold: str) -> None:
    setup.set_up("json", threshold)
    for level in events.LEVELS:
        setup.get_log("directus").emit(events.PROCESS_OUTPUT, level=level)
    levels = [json.loads(line)["level"] for line in captured.lines]
    assert levels == [level for level, number in events.LEVELS.items() if number >= events.LEVELS[threshold]]


def test_the_phase_is_on_every_line_of_its_context(captured: Captured) -> None:
    with structlog.contextvars.bound_contextvars(phase="bootstrap"):
        setup.get_log("boot").emit(events.PHASE_STARTED)
    assert captured.record["phase"] == "bootstrap"


def test_a_library_s_line_gets_the_same_shape(captured: Captured) -> None:
    logging.getLogger("uvicorn.error").warning("port %d is odd", 8056)
    record = captured.record
    assert record.keys() >= REQUIRED
    assert record["level"] == "warning"
    assert record["logger"] == "uvicorn.error"
    assert record["message"] == "port 8056 is odd"


def test_a_library_s_wrong_format_arguments_end_nothing(captured: Captured) -> None:
    (handler,) = (handler for handler in logging.getLogger().handlers if handler.__module__ == setup.__name__)
    handler.handle(logging.LogRecord("asyncio", logging.ERROR, __file__, 1, "%d and %d", ("one",), None))
    assert "%d and %d" in captured.record["message"]


def test_a_library_s_chatter_is_left_out(captured: Captured) -> None:
    logging.getLogger("asyncio").info("selector")
    assert not captured.lines


def test_an_exception_is_rendered_into_the_line(captured: Captured) -> None:
    try:
        raise RuntimeError("what went wrong")
    except RuntimeError as error:
        setup.get_log("supervisor").emit(events.SUPERVISOR_FAILED, exc_info=error)
    record = captured.record
    assert "RuntimeError: what went wrong" in record["exception"]
    assert "Traceback" in record["exception"]
    assert "exc_info" not in record


def test_a_secret_in_an_exception_is_masked(captured: Captured) -> None:
    setup.redactor.know(["hunter22"])
    try:
        raise RuntimeError("cannot log in with hunter22")
    except RuntimeError as error:
        setup.get_log("supervisor").emit(events.SUPERVISOR_FAILED, exc_info=error)
    assert "hunter22" not in captured.lines[0]


@given(secret=st.text(st.sampled_from("\"\\'\nüx€ 7"), min_size=4, max_size=12).filter(lambda s: len(s.strip()) >= 4))
def test_no_secret_is_in_a_written_line(secret: str) -> None:
    captured = Captured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "sink", captured)
        setup.set_up("json", "debug")
        setup.redactor.know([secret])
        try:
            # A space apart, so that what stands around cannot make up another copy of it.
            message = json.dumps({"password": secret})
            setup.get_log("directus").emit(events.PROCESS_OUTPUT, message=message, data={"nested": [f"-{secret}-"]})
        finally:
            setup.redactor.know([])
    record = captured.record
    assert record["data"] == {"nested": ["-[redacted]-"]}
    assert json.loads(record["message"]) == {"password": "[redacted]"}


def test_a_password_that_is_one_of_our_own_words_leaves_the_line_usable(captured: Captured) -> None:
    setup.redactor.know(["directus", "info", "event"])
    setup.get_log("directus").emit(events.PROCESS_OUTPUT, message="the event is directus")
    record = captured.record
    assert (record["event"], record["component"], record["level"]) == ("process.output", "directus", "info")
    assert record["message"] == "the [redacted] is [redacted]"


def test_numbers_that_json_has_not_become_text(captured: Captured) -> None:
    setup.get_log("directus").emit(events.PROCESS_OUTPUT, data={"a": [float("nan")], "b": float("inf"), "c": 1.5})
    assert captured.record["data"] == {"a": ["nan"], "b": "inf", "c": 1.5}


def test_a_lone_surrogate_still_makes_a_line(captured: Captured) -> None:
    setup.get_log("directus").emit(events.PROCESS_OUTPUT, message="\ud83d cut off")
    assert captured.record["message"] == "\ud83d cut off"


def test_text_with_line_ends_stays_one_line(captured: Captured) -> None:
    setup.get_log("directus").emit(events.PROCESS_OUTPUT, message="one\ntwo\r\n\u2028three")
    assert captured.record["message"] == "one\ntwo\r\n\u2028three"


def test_the_console_form_is_readable(console: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    setup.set_up("console", "info")
    setup.get_log("boot").emit(events.PHASE_FINISHED, summary="2 applied", phase="pre_schema")
    (line,) = console.lines
    assert "phase.finished" in line
    assert "summary='2 applied'" in line
    assert "boot_id" not in line
    assert "\x1b" not in line


def test_the_console_form_shows_the_message_beside_the_event(console: Captured) -> None:
    setup.get_log("directus").emit(events.PROCESS_OUTPUT, message="Server started")
    (line,) = console.lines
    assert "process.output" in line
    assert "Server started" in line
    assert "message=" not in line


def test_the_console_form_has_colours_on_a_terminal(console: Captured) -> None:
    setup.get_log("boot").emit(events.BOOT_FINISHED)
    assert "\x1b[" in console.lines[0]


def test_the_console_form_has_no_colours_in_a_file(console: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_is_terminal", lambda: False)
    setup.set_up("console", "info")
    setup.get_log("boot").emit(events.BOOT_FINISHED)
    assert "\x1b[" not in console.lines[0]


def test_the_console_form_masks_secrets_and_shows_exceptions(console: Captured) -> None:
    setup.redactor.know(["hunter22"])
    try:
        raise RuntimeError("cannot log in with hunter22")
    except RuntimeError as error:
        setup.get_log("supervisor").emit(events.SUPERVISOR_FAILED, exc_info=error, message="it is hunter22")
    text = "\n".join(console.lines)
    assert "hunter22" not in text
    assert "RuntimeError" in text


@pytest.mark.parametrize(("on_terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_console_on_a_terminal_and_json_elsewhere(
    console: Captured, monkeypatch: pytest.MonkeyPatch, on_terminal: bool, is_json: bool
) -> None:
    monkeypatch.setattr(setup, "_is_terminal", lambda: on_terminal)
    setup.set_up("auto", "info")
    setup.get_log("boot").emit(events.BOOT_FINISHED)
    assert console.lines[0].startswith("{") == is_json


def test_a_terminal_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    saved = os.dup(1)
    try:
        os.dup2(follower, 1)
        assert setup._is_terminal()
    finally:
        os.dup2(saved, 1)
        for descriptor in (saved, leader, follower):
            os.close(descriptor)
