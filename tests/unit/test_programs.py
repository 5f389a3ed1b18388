"""Side processes and one-shot steps in supervisor.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phases import PHASES
from supervisor.programs import PHASE_NAMES, Step, read_programs

PATH = Path("supervisor.yaml")
WARM = {"name": "warm", "after": "schema_apply", "command": "node warm.js"}
SHIP = {"name": "ship", "command": ["ship", "--follow"]}


def test_the_phases_that_can_be_named_are_the_phases_there_are() -> None:
    assert tuple(phase.name for phase in PHASES) == PHASE_NAMES


def test_processes_and_steps_keep_the_order_of_the_file() -> None:
    programs, problems = read_programs({"processes": [SHIP, {**SHIP, "name": "a"}], "steps": [WARM]}, PATH)
    assert not problems
    assert [process.name for process in programs.processes] == ["ship", "a"]
    assert programs.steps == (
        Step(name="warm", command=("node", "warm.js"), phase="schema_apply", before=False, timeout_s=300.0),
    )


def test_a_process_may_have_a_policy_of_its_own() -> None:
    programs, problems = read_programs({"processes": [{**SHIP, "restart_limit": 9, "stop_timeout_s": 1}]}, PATH)
    assert not problems
    assert programs.processes[0].overrides == {"restart_limit": 9, "stop_timeout_s": 1.0}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"steps": [{**WARM, "after": "nothing"}]}, "supervisor.yaml: steps[0].after is 'nothing', but must be one of"),
        ({"steps": [{**WARM, "before": "bootstrap"}]}, "must say either `before:` or `after:`"),
        ({"steps": [{"name": "warm", "command": "x"}]}, "must say either `before:` or `after:`"),
        ({"steps": [{**WARM, "timeout_s": -1}]}, "steps[0].timeout_s is -1, but must be a number of seconds"),
        ({"steps": {"warm": "x"}}, "steps must be a list"),
        ({"steps": ["warm"]}, "steps[0] must hold keys and values"),
        ({"processes": [{"name": "ship"}]}, "processes[0].command is None"),
        ({"processes": [{**SHIP, "comand": "x"}]}, "unknown key 'comand'; did you mean command?"),
        ({"processes": [{**SHIP, "name": "directus"}]}, "name is 'directus'"),
        ({"processes": [{**SHIP, "environment": ["A=1"]}]}, "environment must hold names and texts"),
        ({"processes": [SHIP, SHIP]}, "two programs are called 'ship'"),
        ({"processes": [SHIP], "steps": [{**WARM, "name": "ship"}]}, "two programs are called 'ship'"),
    ],
)
def test_a_mistake_is_told_with_its_place(document: dict[str, Any], sentence: str) -> None:
    _, problems = read_programs(document, PATH)
    assert any(sentence in problem for problem in problems), problems


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({}, optional={"processes": JSON, "steps": JSON}))
def test_garbage_is_told_and_never_an_error(document: dict[str, Any]) -> None:
    read_programs(document, PATH)
