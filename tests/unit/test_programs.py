"""Side processes and one-shot steps in supervisor.yaml."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phases import PHASES
from supervisor.errors import SupervisorError
from supervisor.phase import Boot, Outcome, Phase
from supervisor.programs import _PROCESS_KEYS, _STEP_KEYS, PHASE_NAMES, Programs, Step, read_programs
from supervisor.settings import load_settings
from supervisor.steps import with_steps
from supervisor.yaml_file import parse_yaml

PATH = Path("supervisor.yaml")
WARM = {"name": "warm", "after": "schema_apply", "command": "node warm.js"}
SHIP = {"name": "ship", "command": ["ship", "--follow"]}
DOCUMENT = Path(__file__).parents[2] / "docs" / "programs.md"


def read(document: dict[str, Any]) -> Programs:
    programs, problems = read_programs(document, PATH)
    assert not problems
    return programs


def test_the_phases_that_can_be_named_are_the_phases_there_are() -> None:
    assert tuple(phase.name for phase in PHASES) == PHASE_NAMES


def test_processes_and_steps_keep_the_order_of_the_file() -> None:
    programs = read({"processes": [SHIP, {**SHIP, "name": "a"}], "steps": [WARM]})
    assert [process.name for process in programs.processes] == ["ship", "a"]
    assert programs.steps == (
        Step(name="warm", command=("node", "warm.js"), phase="schema_apply", before=False, timeout_s=300.0),
    )


def test_a_process_may_have_a_policy_of_its_own() -> None:
    programs = read({"processes": [{**SHIP, "restart_limit": 9, "stop_timeout_s": 1}]})
    assert programs.processes[0].overrides == {"restart_limit": 9, "stop_timeout_s": 1.0}


def test_an_empty_value_counts_as_left_out() -> None:
    empty = dict.fromkeys(("directory", "environment", "restart_limit"))
    assert read({"processes": [{**SHIP, **empty}], "steps": None}) == read({"processes": [SHIP]})
    assert read({"steps": [{**WARM, "before": None, "timeout_s": None}]}) == read({"steps": [WARM]})


def test_variables_are_texts_numbers_and_truth_values() -> None:
    environment = {"A": "text", "B": 8055, "C": 1.5, "D": True, "E": ""}
    (process,) = read({"processes": [{**SHIP, "environment": environment}]}).processes
    assert process.environment == {"A": "text", "B": "8055", "C": "1.5", "D": "true", "E": ""}


def test_the_secrets_of_the_programs_are_known() -> None:
    environment = {"SHIP_TOKEN": "very-secret", "URL": "amqp://u:in-the-url@h", "COLOUR": "blue"}
    programs = read({"processes": [{**SHIP, "environment": environment}]})
    assert programs.secrets == {"very-secret", "in-the-url"}


HUGE = int("f" * 5000, 16)
NESTED: list[Any] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"steps": [{**WARM, "after": "nothing"}]},
            "steps[0].after is 'nothing', but must be one of wait_for_postgres",
        ),
        ({"steps": [{**WARM, "after": "schema-apply"}]}, "; did you mean schema_apply?"),
        ({"steps": [{**WARM, "after": ["bootstrap"]}]}, "steps[0].after is ['bootstrap'], but must be one of"),
        ({"steps": [{**WARM, "before": "bootstrap"}]}, "steps[0] must say either `before:` or `after:`"),
        ({"steps": [{"name": "warm", "command": "x"}]}, "steps[0] must say either `before:` or `after:`"),
        ({"steps": [{**WARM, "timeout_s": -1}]}, "steps[0].timeout_s is -1, but must be a number of seconds"),
        ({"steps": [{**WARM, "timeout_s": HUGE}]}, "steps[0].timeout_s is a very large number, but must be"),
        ({"steps": [{**WARM, "restart_limit": 1}]}, "steps[0]: unknown key 'restart_limit'"),
        ({"steps": {"warm": "x"}}, "steps is {'warm': 'x'}, but must be a list"),
        ({"steps": ""}, "steps is '', but must be a list"),
        ({"steps": ["warm"]}, "steps[0] is 'warm', but must hold keys and values"),
        ({"processes": [{"name": "ship"}]}, "processes[0].command is missing"),
        ({"processes": [{**SHIP, "command": []}]}, "processes[0].command is [], but must be"),
        ({"processes": [{**SHIP, "command": ["a", "b\0c"]}]}, "but must be words without NUL characters"),
        ({"processes": [{**SHIP, "command": 'say "hello'}]}, "processes[0].command is 'say \"hello', but must be"),
        ({"processes": [{**SHIP, "comand": "x"}]}, "processes[0]: unknown key 'comand'; did you mean command?"),
        ({"processes": [dict([*SHIP.items(), (None, "x")])]}, "processes[0]: unknown key None"),
        ({"processes": [dict([*SHIP.items(), (HUGE, "x")])]}, "processes[0]: unknown key a very large number"),
        ({"processes": [{**SHIP, "name": "directus"}]}, "name is 'directus', which the log calls another process"),
        ({"processes": [{**SHIP, "name": "Ship It"}]}, "name is 'Ship It', but must be up to 40 lower-case letters"),
        ({"processes": [{**SHIP, "name": HUGE}]}, "processes[0].name is a very large number, but must be"),
        ({"processes": [{**SHIP, "name": NESTED}]}, "processes[0].name is [[...]], but must be"),
        ({"processes": [{**SHIP, "name": date(2001, 2, 3)}]}, "processes[0].name is datetime.date(2001, 2, 3)"),
        ({"processes": [{**SHIP, "restart_fatal_statuses": NESTED}]}, "processes[0].restart_fatal_statuses is [[...]]"),
        ({"processes": [{**SHIP, "directory": "a\0b"}]}, "processes[0].directory is 'a\\x00b', but must be"),
        ({"processes": [{**SHIP, "environment": ["A=1"]}]}, "environment is list, but must hold names and texts"),
        ({"processes": [{**SHIP, "environment": {"A=B": 1}}]}, "environment has 'A=B', which cannot be the name"),
        ({"processes": [{**SHIP, "environment": {1: 1}}]}, "environment has 1, which cannot be the name"),
        ({"processes": [{**SHIP, "environment": {"A": "x\0"}}]}, "environment.A must be a text or a number"),
        ({"processes": [{**SHIP, "environment": {"A": HUGE}}]}, "environment.A must be a text or a number"),
        ({"processes": [{**SHIP, "environment": {"A": None}}]}, "environment.A must be a text or a number"),
        ({"processes": [SHIP, SHIP]}, "processes[0] and processes[1] have the same name, 'ship'"),
        (
            {"processes": [SHIP], "steps": [{"name": "ship"}]},
            "supervisor.yaml: processes[0] and steps[0] have the same name, 'ship'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(document: dict[str, Any], sentence: str) -> None:
    _, problems = read_programs(document, PATH)
    assert any(sentence in problem for problem in problems), problems
    assert all(problem.startswith("supervisor.yaml: ") for problem in problems)


def test_all_mistakes_of_a_program_are_told_at_once() -> None:
    wrong = {"name": "Ship", "comand": "x", "before": "dinner", "timeout_s": "soon", "environment": 7}
    programs, problems = read_programs({"steps": [wrong, WARM], "processes": 3}, PATH)
    assert [step.name for step in programs.steps] == ["warm"]
    told = "\n".join(problems)
    for key in ("processes is 3", ".name", "'comand'", ".command is missing", ".before", ".timeout_s", ".environment"):
        assert key in told


def test_a_wrong_variable_is_told_without_its_value() -> None:
    _, problems = read_programs({"processes": [{**SHIP, "environment": {"TOKEN": ["very-secret"]}}]}, PATH)
    assert problems
    assert "very-secret" not in "\n".join(problems)


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    text = "steps:\n  - name: a\nprocesses: []\nsteps: []\n"
    with pytest.raises(
        SupervisorError, match=r"supervisor\.yaml:4:1: not valid YAML: the key 'steps' stands here twice"
    ):
        parse_yaml(text, PATH, unique_keys=True)


def test_keys_that_a_merge_brings_may_stand_twice() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n"
    assert parse_yaml(text, PATH, unique_keys=True) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


def test_a_document_within_itself_is_read() -> None:
    assert isinstance(parse_yaml("&a [*a]", PATH, unique_keys=True), list)


SCALARS = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.booleans().map(lambda _: HUGE)
    | st.text()
    | st.binary(max_size=4)
    | st.dates()
    | st.sampled_from(["ship", "directus", "bootstrap", "node x.js", "a\0b", "\ud800"])
)
KEYS = st.sampled_from([*_PROCESS_KEYS, *_STEP_KEYS, "comand"])
YAML = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | SCALARS, inner, max_size=5) | st.sets(SCALARS, max_size=2)
    ),
    max_leaves=12,
)
ITEMS = YAML | st.lists(YAML | st.dictionaries(KEYS, YAML, max_size=8), max_size=3)


@given(st.fixed_dictionaries({}, optional={"processes": ITEMS, "steps": ITEMS}))
def test_whatever_yaml_can_hold_is_told_and_never_an_error(document: dict[str, Any]) -> None:
    programs, problems = read_programs(document, PATH)
    for program in (*programs.processes, *programs.steps):
        assert program.name
        assert program.command
    assert all("\n" not in problem for problem in problems)


async def _nothing(_boot: Boot) -> Outcome:
    return Outcome("skipped", "")


@given(
    st.lists(st.tuples(st.sampled_from(PHASE_NAMES), st.booleans()), max_size=8),
    st.lists(st.booleans(), min_size=len(PHASE_NAMES), max_size=len(PHASE_NAMES)),
)
def test_steps_stand_beside_their_phases_in_the_order_of_the_file(
    places: list[tuple[str, bool]], locked: list[bool]
) -> None:
    phases = [Phase(name, _nothing, locked=lock) for name, lock in zip(PHASE_NAMES, locked, strict=True)]
    steps = [
        Step(name=f"s{index}", command=("x",), phase=phase, before=before)
        for index, (phase, before) in enumerate(places)
    ]
    everything = with_steps(phases, steps)
    assert [phase for phase in everything if not phase.name.startswith("step:")] == phases
    expected = []
    for phase in phases:
        beside = [step for step in steps if step.phase == phase.name]
        expected += [f"step:{step.name}" for step in beside if step.before]
        expected.append(phase.name)
        expected += [f"step:{step.name}" for step in beside if not step.before]
    assert [phase.name for phase in everything] == expected
    by_name = {phase.name: phase for phase in everything}
    assert all(by_name[f"step:{step.name}"].locked == by_name[step.phase].locked for step in steps)


def test_every_example_of_the_document_is_read_without_a_problem(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for text in examples:
        (tmp_path / "supervisor.yaml").write_text(text, encoding="utf-8")
        loaded = load_settings({}, tmp_path)
        assert not loaded.problems
        programs, problems = read_programs(loaded.programs, loaded.path)
        assert not problems
        assert programs.processes or programs.steps


def test_the_document_names_every_key() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    (example, *_) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert set(yaml.safe_load(example)) >= {"processes", "steps"}
    for key in ("name", "command", "directory", "environment", "before", "after", "timeout_s", "stop_timeout_s"):
        assert f"`{key}`" in text
