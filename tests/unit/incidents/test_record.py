"""The record of an incident, and the words that it is judged by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.incidents import record, termination
from supervisor.incidents.signs import concerns_database, of_full_disk
from supervisor.process.child import ExitStatus
from supervisor.process.ending import Ending, trouble_of

TEXT = st.text(max_size=200)


def test_the_record_of_a_death_says_all_that_is_known_of_it() -> None:
    ending = Ending(
        process="directus",
        trouble=trouble_of(ExitStatus(None, 11), oom=False),
        status=ExitStatus(None, 11),
        uptime_s=12.3456,
        restarts=2,
        last_lines=("one", "two"),
    )
    assert record.of_process("process.signal", "m", "r", ending.facts) == {
        "code": "process.signal",
        "message": "m",
        "remedy": "r",
        "runbook": "docs/runbook.md#processsignal",
        "process": "directus",
        "signal": "SIGSEGV",
        "oom": False,
        "uptime_s": 12.346,
        "restarts": 2,
        "last_lines": ["one", "two"],
    }


def test_a_failure_of_a_phase_has_our_status_and_its_own_facts() -> None:
    error = SupervisorError(errors.SQL_FAILED, "it failed", excerpt="x", code="not mine", exit_code=0)
    fields = record.of_failure(error, phase="pre_schema", uptime_s=1.0)
    assert (fields["code"], fields["exit_code"], fields["phase"]) == ("sql.failed", 3, "pre_schema")
    assert (fields["excerpt"], fields["uptime_s"], fields["last_lines"]) == ("x", 1.0, [])


def test_what_is_not_understood_is_a_bug_with_its_traceback() -> None:
    try:
        raise ZeroDivisionError("by nought")
    except ZeroDivisionError as error:
        fields = record.of_failure(error, phase=None, uptime_s=0.0)
    assert (fields["code"], fields["message"]) == ("internal.bug", "ZeroDivisionError: by nought")
    assert "test_what_is_not_understood" in fields["exception"]


def test_however_much_was_written_the_record_stays_small() -> None:
    lines = ["é" * 100_000] * 1000
    error = SupervisorError(errors.CRASH_LOOP, "m" * 1_000_000, last_lines=lines, losses=["x" * 1000] * 1000)
    fields = record.of_failure(error, phase=None, uptime_s=0.0)
    assert len(fields["last_lines"]) == record.KEPT_LINES
    assert max(map(len, fields["last_lines"])) <= record.LONGEST_LINE + 1
    document = record.as_document(fields)
    assert len(document) <= record.LONGEST_BYTES
    assert json.loads(document)["code"] == "directus.crash_loop"
    assert len(termination.message_of(fields)) <= termination.MOST_BYTES


@given(message=TEXT, remedy=TEXT, lines=st.lists(st.text(max_size=2000), max_size=100))
def test_the_termination_message_is_whole_text_below_its_bound(message: str, remedy: str, lines: list[str]) -> None:
    error = SupervisorError(errors.CRASH_LOOP, message, remedy=remedy, last_lines=lines)
    text = termination.message_of(record.of_failure(error, phase=None, uptime_s=0.0))
    assert len(text) <= termination.MOST_BYTES
    told = text.decode("utf-8")
    assert "Code: directus.crash_loop, exit 7; runbook: docs/runbook.md#directuscrash_loop" in told
    assert message.encode("utf-8", "backslashreplace").decode() in told


def test_the_termination_message_keeps_the_latest_lines() -> None:
    error = SupervisorError(errors.CRASH_LOOP, "cause", last_lines=[f"{number} " + "x" * 500 for number in range(60)])
    told = termination.message_of(record.of_failure(error, phase=None, uptime_s=0.0)).decode()
    assert told.startswith("cause\nWhat to do: ")
    assert told.rpartition("\n")[2].startswith("59 ")
    assert "\n10 " not in told


@pytest.mark.parametrize(
    ("code", "line", "concerns"),
    [
        ("sql.failed", "", True),
        ("postgres.unreachable", "", True),
        ("directus.crash_loop", "Error: connect ECONNREFUSED 127.0.0.1:5432", True),
        ("directus.crash_loop", "error: sorry, too many clients already", True),
        ("directus.crash_loop", "Error: Connection terminated unexpectedly", True),
        ("directus.crash_loop", "TypeError: x is undefined", False),
        ("directus.crash_loop", "Error: connect ECONNREFUSED 127.0.0.1:6379", False),
        ("process.not_found", "", False),
        ("directus.port_taken", "", False),
    ],
)
def test_the_state_of_postgres_matters_where_the_failure_is_about_it(code: str, line: str, concerns: bool) -> None:
    assert concerns_database({"code": code, "message": "", "last_lines": [line]}) is concerns


@pytest.mark.parametrize(
    ("fields", "more", "full"),
    [
        ({"sqlstate": "53100"}, [], True),
        ({"detail": 'could not extend file "base/1": No space left on device'}, [], True),
        ({}, ["FATAL: could not write init file: No space left on device"], True),
        ({"sqlstate": "42601"}, ["nothing of it"], False),
    ],
)
def test_a_full_disk_is_known_by_what_was_said(fields: dict[str, Any], more: list[str], full: bool) -> None:
    assert of_full_disk({"message": "", "last_lines": [], **fields}, more) is full
