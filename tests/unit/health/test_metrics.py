"""The metrics: by Prometheus' own linter, and what is built on them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from supervisor.health.metrics import METRICS, Exposition
from supervisor.logs import events
from supervisor.logs.setup import Written
from supervisor.status.observatory import Observatory
from supervisor.status.recorder import Recorder

PROJECT = Path(__file__).parents[3]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMTOOL = shutil.which("promtool")


def exposition() -> Exposition:
    recorder = Recorder()
    for event, fields in (
        (events.BOOT_STARTED, {"database": "db", "phases": ["a"]}),
        (events.PHASE_FINISHED, {"phase": "a", "outcome": "changed", "summary": "s", "duration_s": 0.5}),
        (events.LOCK_ACQUIRED, {"waited_s": 0.25}),
        (events.BOOT_FINISHED, {"duration_s": 1.0}),
        (events.PROCESS_STARTED, {"process": "directus", "pid": 1}),
        (events.PROCESS_EXITED, {"process": "directus", "pid": 1, "signal": "SIGKILL"}),
        (events.INCIDENT, {"code": "process.out_of_memory", "message": "m", "remedy": "r", "process": "directus"}),
        (events.PROCESS_RESTARTING, {"process": "directus", "cause": "out_of_memory", "oom": True}),
    ):
        recorder.happened(event.name, fields)
    recorder.written(Written("directus", "stdout", ["info"], [b"{}"], 100))
    return Exposition(Observatory(recorder, "11"))


def test_what_happened_is_counted() -> None:
    _, body = exposition()("")
    for line in (
        'directus_supervisor_restarts_total{process="directus",reason="out_of_memory"} 1.0',
        'directus_supervisor_exits_total{process="directus",status="SIGKILL"} 1.0',
        'directus_supervisor_boots_total{result="finished"} 1.0',
        'directus_supervisor_phase_duration_seconds{phase="a"} 0.5',
        "directus_supervisor_lock_wait_seconds 0.25",
        'directus_supervisor_log_bytes_total{process="directus",stream="stdout"} 100.0',
        'directus_supervisor_state{state="starting"} 1.0',
        "directus_supervisor_ready 0.0",
    ):
        assert line in body.decode().splitlines()


def test_openmetrics_is_spoken_to_whom_asks_for_it() -> None:
    content_type, body = exposition()(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    parsed = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
    families = {family.name for family in parsed}
    assert {f"directus_supervisor_{name}" for name in METRICS} <= families


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_names_and_units_pass_the_linter_of_prometheus() -> None:
    _, body = exposition()("")
    done = subprocess.run([str(PROMTOOL), "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_the_alert_rules_are_valid() -> None:
    rules = PROJECT / "docker" / "prometheus" / "alerts.yaml"
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["docker/prometheus/alerts.yaml", "docker/grafana/directus-supervisor.json"])
def test_rules_and_dashboard_name_metrics_that_exist(name: str) -> None:
    named = set(re.findall(r"\bdirectus_supervisor_\w+", (PROJECT / name).read_text(encoding="utf-8")))
    assert named
    assert named <= {metric.sample for metric in METRICS.values()}
