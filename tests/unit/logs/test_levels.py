"""Levels: one for all, another for some, changed while it runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs import events, setup
from supervisor.logs.levels import COMPONENTS, SETTABLE, parse
from tests.unit.captured import Captured

PROJECT = Path(__file__).parents[3]
OWN = st.dictionaries(st.sampled_from(COMPONENTS), st.sampled_from(SETTABLE))


@given(st.sampled_from(SETTABLE), OWN)
def test_what_is_written_is_read(general: str, own: dict[str, str]) -> None:
    levels = parse(",".join([general, *(f" {component.upper()} = {level}" for component, level in own.items())]))
    assert (levels.general, levels.of) == (general, own)
    assert parse(str(levels)) == levels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loud", "there is no level 'loud'"),
        ("infoo", "did you mean info?"),
        ("info,postgress=debug", "did you mean postgres?"),
        ("postgres=verbose", "there is no level 'verbose'"),
        ("info,debug", "more than one general level"),
        ("lock=info,lock=debug", "lock is there twice"),
        ("info,", "there is no level ''"),
        ("=debug", "there is no component ''"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="there") as caught:
        parse(text)
    assert words in str(caught.value)


def test_every_component_of_the_code_is_known() -> None:
    found = set()
    for path in [*(PROJECT / "supervisor").rglob("*.py"), *(PROJECT / "phases").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "get_log":
                found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    assert found <= set(COMPONENTS)


def test_a_component_may_have_a_level_of_its_own(captured: Captured) -> None:
    setup.set_up("json", "warning,boot=debug,lock=error")
    setup.get_log("boot").emit(events.PHASE_STARTED)
    setup.get_log("health").emit(events.HEALTH_LISTENING)
    setup.get_log("lock").emit(events.SQL_WAITING)
    assert [record["component"] for record in captured.records] == ["boot"]


def test_levels_change_while_it_runs(captured: Captured) -> None:
    setup.set_up("json", "error")
    setup.set_level("debug", "boot")
    assert (setup.level(), setup.levels()) == ("error", {"boot": "debug"})
    setup.get_log("boot").emit(events.PHASE_STARTED)
    setup.set_level("warning")
    assert (setup.level(), setup.levels()) == ("warning", {})
    setup.get_log("boot").emit(events.PHASE_STARTED)
    assert len(captured.lines) == 1
    with pytest.raises(ValueError, match="did you mean boot"):
        setup.set_level("info", "boots")
