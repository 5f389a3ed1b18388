"""The state machine: which moves there are, and what the probes say in each state."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import TRANSITIONS, IllegalTransitionError, Lifecycle, State

LEGAL = [(before, after) for before in State for after in sorted(TRANSITIONS[before])]
ILLEGAL = [pair for pair in product(State, State) if pair not in LEGAL]


def lifecycle_in(state: State) -> Lifecycle:
    lifecycle = Lifecycle(lambda: 0.0)
    lifecycle.state = state
    return lifecycle


@pytest.mark.parametrize(("before", "after"), LEGAL)
def test_a_move_of_the_table_is_made_and_told(before: State, after: State) -> None:
    lifecycle = lifecycle_in(before)
    told: list[tuple[State, State, str]] = []
    lifecycle.on_move(lambda *move: told.append(move))
    lifecycle.advance(after, "because")
    assert (lifecycle.state, lifecycle.reason) == (after, "because")
    assert told == [(before, after, "because")]


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_any_other_move_is_refused_and_changes_nothing(before: State, after: State) -> None:
    lifecycle = lifecycle_in(before)
    told: list[object] = []
    lifecycle.on_move(lambda *move: told.append(move))
    with pytest.raises(IllegalTransitionError, match=f"from {before} to {after}"):
        lifecycle.advance(after, "because")
    assert lifecycle.state is before
    assert not told


@pytest.mark.parametrize("state", sorted(set(State) - {State.STOPPED, State.FAILED}))
def test_a_failure_and_a_stop_are_possible_from_everywhere(state: State) -> None:
    assert State.FAILED in TRANSITIONS[state]
    assert {State.STOPPING, State.STOPPED} & TRANSITIONS[state]


def test_nothing_follows_the_end() -> None:
    assert not TRANSITIONS[State.STOPPED]
    assert not TRANSITIONS[State.FAILED]


@pytest.mark.parametrize("state", State)
def test_only_ready_is_ready(state: State) -> None:
    assert lifecycle_in(state).ready().ok == (state is State.READY)


@pytest.mark.parametrize("state", State)
def test_whoever_answers_is_alive(state: State) -> None:
    assert lifecycle_in(state).live().ok


@pytest.mark.parametrize("state", State)
def test_only_the_last_three_states_are_ending(state: State) -> None:
    assert lifecycle_in(state).ending == (state in {State.STOPPING, State.STOPPED, State.FAILED})


def test_a_probe_names_the_phase_that_runs() -> None:
    lifecycle = Lifecycle(lambda: 0.0)
    lifecycle.advance(State.MIGRATING, "the phases run")
    lifecycle.phase, lifecycle.reason = "wait_for_postgres", "running"
    assert lifecycle.ready().reason == "phase wait_for_postgres: running"
    lifecycle.advance(State.LAUNCHING, "directus is starting")
    assert lifecycle.ready().reason == "directus is starting"


def test_the_time_of_a_move_is_kept() -> None:
    clock = iter([1.0, 5.0])
    lifecycle = Lifecycle(lambda: next(clock))
    assert lifecycle.since_s == 1.0
    lifecycle.advance(State.MIGRATING, "")
    assert lifecycle.since_s == 5.0


@given(st.lists(st.integers(min_value=0, max_value=10), max_size=40))
def test_on_every_walk_ready_is_the_state_and_started_stays(choices: list[int]) -> None:
    lifecycle = Lifecycle(lambda: 0.0)
    was_ready = False
    for choice in choices:
        ways = sorted(TRANSITIONS[lifecycle.state])
        if not ways:
            assert lifecycle.ending
            break
        lifecycle.advance(ways[choice % len(ways)], "step")
        was_ready = was_ready or lifecycle.state is State.READY
        assert lifecycle.ready().ok == (lifecycle.state is State.READY)
        assert lifecycle.started().ok == was_ready
        assert lifecycle.live().reason == lifecycle.ready().reason == lifecycle.started().reason
