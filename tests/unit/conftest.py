"""The log, set up for one test and taken down again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from supervisor.logs import setup
from tests.unit.captured import Captured


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Captured]:
    """Every line that is logged, from level debug on, as JSON."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels, render = setup._levels, setup._render_text
    sink = Captured()
    monkeypatch.setattr(setup, "sink", sink)
    setup.set_up("json", "debug")
    yield sink
    structlog.contextvars.clear_contextvars()
    root.handlers, setup._levels, setup._render_text = handlers, levels, render
    root.setLevel(level)
    setup.redactor.know([])


@pytest.fixture(autouse=True)
def _strict_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event has a field that the catalogue does not know."""
    monkeypatch.setattr(setup, "strict", True)
