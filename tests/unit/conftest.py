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
    handlers, level, threshold = list(root.handlers), root.level, setup._threshold
    sink = Captured()
    monkeypatch.setattr(setup, "sink", sink)
    setup.set_up("json", "debug")
    yield sink
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers, setup._threshold = handlers, threshold
    root.setLevel(level)
    setup.redactor.know([])
