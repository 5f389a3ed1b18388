"""Every event that belongs to the story of a boot is told as a sentence."""

from __future__ import annotations

import pytest

from supervisor.explain.narrate import is_told, sentence
from supervisor.logs import events

TOLD = [event for event in events.CATALOGUE.values() if is_told(event.name, event.level)]


@pytest.mark.parametrize("event", TOLD, ids=lambda event: event.name)
def test_an_event_that_is_told_is_a_sentence_of_fields_that_it_has(event: events.Event) -> None:
    fields = dict.fromkeys((*event.fields, "process"), "some words")
    text = sentence(event.name, fields)
    assert not text.startswith(event.name)
    assert "some words" in text or "{" not in text


def test_a_line_that_was_cut_short_is_told_as_far_as_it_goes() -> None:
    assert sentence("log.lines_dropped", {"lines": 7}).startswith("7 lines of the log")
    assert sentence("lock.waiting", {"waited_s": 3.0}) == "lock.waiting: waited_s 3.0"
