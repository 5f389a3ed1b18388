"""What the picture makes of the log's events."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from supervisor.directus.pino import Entry
from supervisor.logs import events, setup
from supervisor.logs.lines import OutputLines
from supervisor.logs.setup import get_log
from supervisor.status.facts import Facts
from supervisor.status.observatory import Observatory, as_json
from supervisor.status.recorder import Recorder
from supervisor.status.ring import KEPT_LINES, LONGEST_BYTES, LineRing

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "status.schema.json").read_text(encoding="utf-8"))


def told(*happened: tuple[Any, dict[str, Any]]) -> Facts:
    facts = Facts(100.0)
    for number, (event, fields) in enumerate(happened):
        facts.take(event.name, 101.0 + number, fields)
    return facts


def test_a_phase_is_waiting_then_running_then_finished() -> None:
    facts = told((events.BOOT_STARTED, {"database": "db", "phases": ["a", "b"]}))
    assert [phase.state for phase in facts.phases.values()] == ["waiting", "waiting"]
    facts.take(events.PHASE_STARTED.name, 102.0, {"phase": "a"})
    assert facts.phases["a"].state == "running"
    fields = {"phase": "a", "outcome": "changed", "summary": "did it", "duration_s": 1.5}
    facts.take(events.PHASE_FINISHED.name, 103.5, fields)
    assert (facts.phases["a"].state, facts.phases["a"].duration_s) == ("finished", 1.5)
    facts.take(events.PHASE_STARTED.name, 103.5, {"phase": "b"})
    facts.take(events.PHASE_FAILED.name, 104.0, {"phase": "b", "duration_s": 0.5})
    assert (facts.phases["b"].state, facts.boot_result) == ("failed", "failed")


def test_a_restart_is_counted_by_its_cause_and_its_incident_is_the_last_one() -> None:
    fields = {"process": "directus", "reason": "ended with status 1", "cause": "exit", "oom": False}
    incident = {"code": "process.exit", "message": "m", "remedy": "r", "process": "directus"}
    facts = told(
        (events.PROCESS_STARTED, {"process": "directus", "pid": 7}),
        (events.PROCESS_EXITED, {"process": "directus", "pid": 7, "exit_code": 1}),
        (events.INCIDENT, incident),
        (events.PROCESS_RESTARTING, fields),
    )
    assert facts.processes["directus"].restarts == {"exit": 1}
    assert facts.exits == {("directus", "1"): 1}
    assert facts.last_incident is not None
    assert (facts.last_incident.code, facts.last_incident.process) == ("process.exit", "directus")
    assert facts.last_incident.remedy == "r"
    assert facts.incidents == {"process.exit": 1}


def test_a_reload_is_a_restart_and_no_incident() -> None:
    facts = told(
        (events.PROCESS_STARTED, {"process": "directus", "pid": 7}),
        (events.STATE_CHANGED, {"state": "restarting", "reason": "directus is reloaded"}),
        (events.PROCESS_RESTARTING, {"process": "directus", "reason": "is reloaded", "cause": "reload", "oom": False}),
    )
    assert facts.processes["directus"].restarts == {"reload": 1}
    assert facts.last_incident is None


@pytest.mark.usefixtures("captured")
def test_secrets_are_masked_in_the_picture_and_in_the_kept_lines() -> None:
    recorder = Recorder()
    setup.redactor.know(["open-sesame"])
    with setup.heard_by(recorder):
        get_log("process").emit(
            events.PROCESS_RESTARTING, process="directus", reason="open-sesame", cause="exit", oom=False, delay_s=1
        )
        get_log("incident").emit(events.INCIDENT, code="process.exit", message="open-sesame", remedy="open-sesame")
        get_log("process").emit(events.STATE_CHANGED, before="ready", state="failed", reason="open-sesame")
        get_log("boot").emit(events.BOOT_STARTED, database="open-sesame@x", phases=["open"])
    shown = as_json(Observatory(recorder, None).picture()) + "".join(line.text for line in recorder.lines.after(0))
    assert "open-sesame" not in shown
    assert shown.count("[redacted]") >= 5
    assert recorder.misunderstood == 0


@pytest.mark.usefixtures("captured")
def test_the_log_is_counted_by_who_spoke_and_kept_below_a_bound() -> None:
    recorder = Recorder()
    with setup.heard_by(recorder):
        lines = OutputLines("x", "directus")
        lines.write("stdout", 7, [Entry("info", f"é {number}") for number in range(KEPT_LINES + 10)])
        lines.write("stderr", 7, [Entry("error", "y" * 300_000)])
        get_log("x").emit(events.SQL_NOTICE, file="f", message="n")
    assert recorder.streams["directus", "stdout"].lines == KEPT_LINES + 10
    assert recorder.streams["directus", "stderr"].bytes > 300_000
    assert recorder.streams["supervisor", "log"].lines == 1
    kept = list(recorder.lines.after(0))
    assert len(kept) == KEPT_LINES
    assert max(len(line.text) for line in kept) <= LONGEST_BYTES
    assert [line.number for line in recorder.lines.after(recorder.lines.last_number - 2)] == [
        recorder.lines.last_number - 1,
        recorder.lines.last_number,
    ]


def test_an_event_that_is_not_understood_stops_nobody() -> None:
    recorder = Recorder()
    recorder.happened(events.STATE_CHANGED.name, {"state": "no such state"})
    assert recorder.misunderstood == 1


def test_a_look_in_passing_is_due_while_something_runs_and_not_more_often_than_every_ten_seconds() -> None:
    now = 100.0
    recorder = Recorder(lambda: now)
    observatory = Observatory(recorder, None, clock=lambda: now)
    assert not observatory.is_due_in_passing()
    recorder.happened(events.PROCESS_STARTED.name, {"process": "directus", "pid": os.getpid()})
    for _ in range(3):
        assert observatory.is_due_in_passing()
        observatory.look()
        now += 9.9
        assert not observatory.is_due_in_passing()
        now += 0.2
    (process,) = observatory.picture().processes
    assert len(process.history) == 4


def test_a_line_with_a_lower_number_than_the_kept_ones_is_gone() -> None:
    ring = LineRing(2)
    for text in ("a", "b", "c"):
        ring.extend(["info"], "", [text.encode()])
    assert [line.text for line in ring.after(0)] == ["b", "c"]
    assert not list(ring.after(3))


def test_the_picture_is_what_the_schema_says() -> None:
    recorder = Recorder()
    for event, fields in (
        (events.BOOT_STARTED, {"database": "db", "phases": ["a"]}),
        (events.PHASE_STARTED, {"phase": "a"}),
        (events.SQL_APPLIED, {"phase": "a", "file": "f", "duration_s": 0.1}),
        (events.SQL_PENDING, {"phase": "a", "file": "g", "extension": "e"}),
        (events.PROCESS_STARTED, {"process": "directus", "pid": 1}),
        (events.INCIDENT, {"code": "c", "message": "m", "remedy": "r"}),
    ):
        recorder.happened(event.name, fields)
    for document in (Observatory(Recorder(), None), Observatory(recorder, "1")):
        jsonschema.validate(json.loads(as_json(document.picture())), SCHEMA)
    assert recorder.misunderstood == 0
