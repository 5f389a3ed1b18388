"""The picture and the log as text for a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from supervisor.console.text import line_text, status_text
from tests.unit.console.pictures import AT, picture

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "status.schema.json").read_text(encoding="utf-8"))
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_the_pictures_of_these_tests_are_what_the_schema_says() -> None:
    jsonschema.validate(picture(), SCHEMA)


def test_the_state_the_incident_the_phases_and_the_processes_are_all_there() -> None:
    text = status_text(picture(), color=False)
    for words in (
        "ready  accepts requests",
        "supervisor 0.1.0, up 2 h 1 min, 42 MB; directus 11.17.4",
        "process.signal",
        "directus ended with signal SIGKILL.",
        "what to do: Look who sent it.",
        "pre_schema  changed  1.25 s  1 applied; 001_a.sql",
        "directus  ready  42   12 s  signal 2  300 MB  12 %",
        "003_t.sql waits for timescaledb",
    ):
        assert words in text


def test_what_is_not_there_takes_no_room() -> None:
    empty = picture(
        last_incident=None,
        processes=[],
        directus_version=None,
        boot={**picture()["boot"], "phases": []},
        migrations={"applied_total": 0, "applied": [], "pending": []},
    )
    text = status_text(empty, color=False)
    for words in ("incident", "PHASE", "PROCESS", "pending"):
        assert words not in text
    assert "directus unknown" in text


def test_a_process_that_is_down_has_dashes_for_figures() -> None:
    (process,) = picture()["processes"]
    down = {**process, "pid": None, "uptime_s": None, "memory_bytes": None, "history": [], "restarts": {}}
    assert re.search(r"directus  ready  -    -   0 +-  +-\n", status_text(picture(processes=[down]), color=False))


def test_colors_are_all_that_color_adds() -> None:
    colored = status_text(picture(), color=True)
    assert ESCAPE.search(colored)
    assert ESCAPE.sub("", colored) == status_text(picture(), color=False)


@given(st.text())
def test_no_text_from_outside_steers_the_terminal(text: str) -> None:
    state = {**picture()["state"], "reason": text}
    incident = {**picture()["last_incident"], "message": text, "remedy": text}
    boot = picture()["boot"]
    (phase,) = boot["phases"]
    boot = {**boot, "phases": [{**phase, "summary": text, "details": [text]}]}
    shown = status_text(picture(state=state, last_incident=incident, boot=boot), color=False)
    record = {"timestamp": AT, "level": "info", "event": text, "message": text, "process": text, text: text}
    shown += line_text(record, color=False)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def line(**fields: object) -> str:
    return line_text({"timestamp": AT, "level": "info", "component": "boot", "boot_id": "b", **fields}, color=False)


def test_a_line_of_a_process_is_its_message() -> None:
    text = line(event="process.output", process="directus", stream="stdout", message="Server started")
    assert text.split() == ["03:04:05.678", "info", "directus", "Server", "started"]


def test_a_line_of_our_own_names_its_event_and_fields() -> None:
    assert line(event="sql.applied", file="001_a.sql").split() == [
        *("03:04:05.678", "info", "boot", "sql.applied", "file=001_a.sql")
    ]


def test_lines_that_came_too_fast_are_counted() -> None:
    assert "7 lines" in line_text({"event": "log.skipped", "lines": 7}, color=False)
