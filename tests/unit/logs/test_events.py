"""The catalogue: every event says which fields it has, and no line has others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.logs import events, setup
from supervisor.logs.fields import COMMON, FIELDS
from tests.unit.captured import Captured

PROJECT = Path(__file__).parents[3]


def emitted() -> Iterator[tuple[str, events.Event, str]]:
    """Each field that the code gives to an event by name: where, the event, the field."""
    for path in [*(PROJECT / "supervisor").rglob("*.py"), *(PROJECT / "phases").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit"):
                continue
            name = str(getattr(node.args[0], "attr", getattr(node.args[0], "id", "")))
            event = getattr(events, name, None)
            assert isinstance(event, events.Event), f"{path}:{node.lineno}: no event of the catalogue"
            for keyword in node.keywords:
                if keyword.arg not in {None, "level", "exc_info"}:
                    yield f"{path.relative_to(PROJECT)}:{node.lineno}", event, str(keyword.arg)


def test_the_code_gives_no_event_a_field_that_it_does_not_declare() -> None:
    wrong = [f"{place}: {event.name} has no {field}" for place, event, field in emitted() if event.undeclared([field])]
    assert not wrong


@pytest.mark.parametrize("event", events.CATALOGUE.values(), ids=lambda event: event.name)
def test_every_declared_field_is_described(event: events.Event) -> None:
    assert not [name for name in event.fields if name not in FIELDS]


def test_every_described_field_is_used() -> None:
    used = {name for event in events.CATALOGUE.values() for name in event.fields}
    assert set(FIELDS) == used


@pytest.mark.parametrize("field", [*COMMON.values(), *FIELDS.values()])
def test_a_description_is_a_sentence(field: object) -> None:
    assert str(getattr(field, "meaning", "")).endswith(".")


def test_a_field_that_is_not_declared_is_an_error_in_tests(captured: Captured) -> None:
    with pytest.raises(TypeError, match="has no field colour"):
        setup.get_log("boot").emit(events.BOOT_FINISHED, colour="red")


def test_a_field_that_is_not_declared_ends_nothing_in_production(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "strict", False)
    setup.get_log("boot").emit(events.BOOT_FINISHED, colour="red")
    assert captured.record["colour"] == "red"
