"""`config`: what is in effect and where it comes from, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.settings import SPECS
from supervisor.show_config import Row, effective, show_config

DATABASE = {
    "DB_CLIENT": "pg",
    "DB_HOST": "db.example",
    "DB_PORT": "5432",
    "DB_DATABASE": "rally",
    "DB_USER": "directus",
    "DB_PASSWORD": "hunter22-of-the-database",
    "SECRET": "a-secret-of-more-than-32-characters!",
}


def rows(tmp_path: Path, **environ: str) -> dict[str, Row]:
    return {row.name: row for row in effective({**DATABASE, **environ}, tmp_path).rows}


def test_every_setting_is_shown_with_its_source(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_text("log_level: debug", encoding="utf-8")
    shown = rows(
        tmp_path,
        SUPERVISOR_HEALTH_PORT="9000",
        SUPERVISOR_OPTIONAL_EXTENSIONS="a,b",
        SUPERVISOR_RESTART_NEVER_STATUSES="9,3",
    )
    assert set(shown) >= {spec.variable for spec in SPECS.values()}
    assert (shown["SUPERVISOR_HEALTH_PORT"].value, shown["SUPERVISOR_HEALTH_PORT"].source) == ("9000", "environment")
    assert shown["SUPERVISOR_LOG_LEVEL"].source == f"file {tmp_path / 'supervisor.yaml'}"
    assert shown["SUPERVISOR_OPTIONAL_EXTENSIONS"].value == "a,b"
    assert shown["SUPERVISOR_RESTART_NEVER_STATUSES"].value == "3,9"
    assert shown["SUPERVISOR_RESTART_FATAL_STATUSES"].value == ""
    assert shown["SUPERVISOR_NODE"] == Row("SUPERVISOR_NODE", "", "default")
    assert shown["DB_HOST"].value == "db.example"


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    environ = {
        **DATABASE,
        "DB_CONNECTION_STRING": "postgres://u:password-in-the-url@h/d",
        "SUPERVISOR_COMMAND": "run --password hunter22-of-the-database",
        "SUPERVISOR_HEALTH_PORT": "hunter22-of-the-database",
    }
    assert show_config(environ, tmp_path, as_json=as_json) == 78
    told = capsys.readouterr().out
    for secret in ("hunter22-of-the-database", "password-in-the-url", DATABASE["SECRET"]):
        assert secret not in told
    assert "[redacted]" in told


def test_a_json_document_holds_settings_and_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_config({**DATABASE, "SUPERVISOR_LOG_LEVEL": "loud"}, tmp_path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["DB_USER"] == {"value": "directus", "source": "environment"}
    assert any("SUPERVISOR_LOG_LEVEL" in problem for problem in document["problems"])


def test_the_table_ends_with_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_config({**DATABASE, "SUPERVISOR_LOG_LEVEL": "loud", "SUPERVISOR_X": "1"}, tmp_path, as_json=False)
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert len(problems) >= 3


PROGRAMS = """
processes:
  - name: shipper
    command: ["ship it", --token, token-of-the-shipper]
    environment: {SHIP_TOKEN: token-of-the-shipper, COLOUR: blue}
    restart_fatal_statuses: [3, 2]
steps:
  - name: warm-cache
    after: schema_apply
    command: node warm.js --password hunter22-of-the-database
    directory: jobs
"""


def test_processes_and_steps_are_shown_with_their_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "supervisor.yaml").write_text(PROGRAMS, encoding="utf-8")
    show_config(DATABASE, tmp_path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["processes"] == [
        {
            "name": "shipper",
            "command": ["ship it", "--token", "[redacted]"],
            "environment": {"SHIP_TOKEN": "[redacted]", "COLOUR": "blue"},
            "restart_fatal_statuses": [2, 3],
        }
    ]
    assert document["steps"] == [
        {
            "name": "warm-cache",
            "after": "schema_apply",
            "command": ["node", "warm.js", "--password", "[redacted]"],
            "directory": "jobs",
            "timeout_s": 300.0,
        }
    ]


def test_processes_and_steps_are_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "supervisor.yaml").write_text(PROGRAMS, encoding="utf-8")
    show_config(DATABASE, tmp_path, as_json=False)
    told = capsys.readouterr().out
    assert "process shipper: 'ship it' --token '[redacted]'\n" in told
    assert "step warm-cache: node warm.js --password '[redacted]'\n  after: schema_apply\n" in told
    for secret in ("token-of-the-shipper", "hunter22-of-the-database"):
        assert secret not in told


def test_a_mistake_in_a_program_is_a_problem_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_text("log_level: loud\nprocesses: [{name: a, comand: x}]", encoding="utf-8")
    problems = effective(DATABASE, tmp_path).problems
    path = tmp_path / "supervisor.yaml"
    assert f"{path}: processes[0]: unknown key 'comand'; did you mean command?" in problems
    assert any("log_level" in problem for problem in problems)
