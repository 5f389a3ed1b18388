"""The restart policy: how long it waits, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.process.restart import Death, EndService, GiveUp, Restart, RestartPolicy, decide, relevant

POLICY = RestartPolicy(
    backoff_s=0.5, factor=2.0, backoff_max_s=30.0, jitter=0.0, stable_s=60.0, limit=1_000_000, window_s=600.0
)

seconds = st.floats(min_value=0, max_value=1e6)
policies = st.builds(
    RestartPolicy,
    backoff_s=seconds,
    factor=st.floats(min_value=1, max_value=1e6),
    backoff_max_s=seconds,
    jitter=st.floats(min_value=0, max_value=1),
    stable_s=seconds,
    limit=st.integers(min_value=0, max_value=50),
    window_s=st.floats(min_value=0.001, max_value=1e6),
)
chances = st.floats(min_value=0, max_value=1)


def lives(*uptimes_s: float) -> list[Death]:
    """Deaths after these uptimes, each life right after the other."""
    deaths: list[Death] = []
    now = 100.0
    for uptime_s in uptimes_s:
        deaths.append(Death(now, now + uptime_s))
        now += uptime_s
    return deaths


histories = st.lists(st.floats(min_value=0, max_value=1e4), min_size=1, max_size=60).map(lambda ups: lives(*ups))


def delay_s(policy: RestartPolicy, deaths: list[Death], chance: float = 0.5) -> float:
    decision = decide(policy, deaths, 1, chance)
    assert isinstance(decision, Restart)
    return decision.delay_s


def test_each_early_death_doubles_the_delay_up_to_the_cap() -> None:
    delays = [delay_s(POLICY, lives(*[1.0] * count)) for count in range(1, 10)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(policies, st.integers(min_value=1, max_value=30))
def test_the_delay_is_that_of_the_series_up_to_the_cap(policy: RestartPolicy, count: int) -> None:
    policy = replace(policy, jitter=0.0, limit=1_000_000, stable_s=2.0)
    expected = min(policy.backoff_s * policy.factor ** (count - 1), policy.backoff_max_s)
    assert delay_s(policy, lives(*[1.0] * count)) == expected


@given(policies, histories, st.floats(min_value=0, max_value=1e4))
def test_whatever_came_before_a_stable_life_is_forgotten(
    policy: RestartPolicy, deaths: list[Death], more_s: float
) -> None:
    policy = replace(policy, jitter=0.0, limit=1_000_000)
    stable = Death(deaths[-1].ended_s, deaths[-1].ended_s + policy.stable_s * 1.01 + 0.01 + more_s)
    assert delay_s(policy, [*deaths, stable]) == min(policy.backoff_s, policy.backoff_max_s)


def test_a_stable_life_resets_the_delay() -> None:
    assert delay_s(POLICY, lives(1, 1, 1, 1, 60)) == 0.5


def test_the_death_of_a_stable_life_is_the_first_of_the_new_series() -> None:
    assert delay_s(POLICY, lives(1, 1, 60, 1)) == 1.0
    assert delay_s(POLICY, lives(1, 1, 60, 1, 1)) == 2.0


def test_an_almost_stable_life_resets_nothing() -> None:
    assert delay_s(POLICY, lives(1, 1, 59.9)) == 2.0


@given(policies, histories, chances)
def test_the_delay_is_never_negative_and_never_above_the_cap(
    policy: RestartPolicy, deaths: list[Death], chance: float
) -> None:
    decision = decide(policy, deaths, 1, chance)
    if isinstance(decision, Restart):
        assert 0 <= decision.delay_s <= policy.backoff_max_s


@given(policies, st.integers(min_value=1, max_value=400))
def test_without_jitter_the_delay_never_falls_within_a_series(policy: RestartPolicy, count: int) -> None:
    policy = replace(policy, jitter=0.0, limit=1_000_000, stable_s=2.0)
    deaths = lives(*[1.0] * (count + 1))
    assert delay_s(policy, deaths[:-1]) <= delay_s(policy, deaths)


@given(policies, histories, chances)
def test_jitter_stays_within_its_share(policy: RestartPolicy, deaths: list[Death], chance: float) -> None:
    policy = replace(policy, limit=1_000_000)
    plain = delay_s(replace(policy, jitter=0.0), deaths)
    varied = delay_s(policy, deaths, chance)
    tolerance = 1e-9 * (1 + plain)
    assert plain * (1 - policy.jitter) - tolerance <= varied <= plain * (1 + policy.jitter) + tolerance


def test_jitter_varies_the_delay_both_ways() -> None:
    policy = replace(POLICY, jitter=0.2)
    delays = [delay_s(policy, lives(1), chance) for chance in (0.0, 0.5, 1.0)]
    assert delays == pytest.approx([0.4, 0.5, 0.6])


@given(policies, histories, chances)
def test_it_gives_up_exactly_when_more_deaths_than_the_limit_lie_in_the_window(
    policy: RestartPolicy, deaths: list[Death], chance: float
) -> None:
    now = deaths[-1].ended_s
    in_window = sum(now - death.ended_s <= policy.window_s for death in deaths)
    decision = decide(policy, deaths, 1, chance)
    if in_window > policy.limit:
        assert isinstance(decision, GiveUp)
        assert decision.deaths == in_window
        assert decision.span_s >= 0
    else:
        assert isinstance(decision, Restart)


def test_a_limit_of_0_allows_no_restart() -> None:
    assert decide(replace(POLICY, limit=0), lives(1000), 1, 0.5) == GiveUp(1, 1000)


def test_deaths_that_have_left_the_window_are_forgiven() -> None:
    policy = replace(POLICY, limit=2, window_s=100)
    assert isinstance(decide(policy, lives(1, 1, 1), 1, 0.5), GiveUp)
    assert isinstance(decide(policy, lives(1, 1, 101), 1, 0.5), Restart)


def test_thousands_of_deaths_overflow_nothing() -> None:
    assert delay_s(replace(POLICY, factor=1e6), lives(*[0.0] * 10_000)) == POLICY.backoff_max_s


def test_a_backoff_of_0_stays_0_however_many_deaths() -> None:
    assert delay_s(replace(POLICY, backoff_s=0.0), lives(*[0.0] * 10_000)) == 0


statuses = st.integers(min_value=0, max_value=255)


@given(policies, histories, statuses, chances)
def test_a_status_that_ends_the_service_is_never_restarted_and_never_a_failure(
    policy: RestartPolicy, deaths: list[Death], status: int, chance: float
) -> None:
    policy = replace(policy, never=frozenset({status}), fatal=frozenset({status}))
    assert decide(policy, deaths, status, chance) == EndService()


@given(policies, histories, statuses, chances)
def test_a_fatal_status_is_given_up_at_once_whatever_budget_is_left(
    policy: RestartPolicy, deaths: list[Death], status: int, chance: float
) -> None:
    assert isinstance(decide(replace(policy, fatal=frozenset({status})), deaths, status, chance), GiveUp)


@given(policies, histories, st.sets(statuses), st.sets(statuses), statuses, chances)
def test_other_statuses_change_nothing(
    policy: RestartPolicy, deaths: list[Death], never: set[int], fatal: set[int], status: int, chance: float
) -> None:
    listed = replace(policy, never=frozenset(never - {status}), fatal=frozenset(fatal - {status}))
    assert decide(listed, deaths, status, chance) == decide(policy, deaths, 1, chance)


@given(policies, histories, st.sets(statuses), chances)
def test_an_end_that_we_brought_about_has_no_status_to_be_listed(
    policy: RestartPolicy, deaths: list[Death], listed: set[int], chance: float
) -> None:
    named = replace(policy, never=frozenset(listed), fatal=frozenset(listed))
    assert decide(named, deaths, None, chance) == decide(policy, deaths, None, chance)


@given(policies, histories, chances)
def test_the_deaths_that_are_kept_decide_as_all_of_them_would(
    policy: RestartPolicy, deaths: list[Death], chance: float
) -> None:
    kept: list[Death] = []
    for death in deaths:
        kept = relevant(policy, [*kept, death])
    assert decide(policy, kept, 1, chance) == decide(policy, deaths, 1, chance)


def test_early_deaths_that_have_left_the_window_still_lengthen_the_delay() -> None:
    policy = replace(POLICY, window_s=0.5)
    assert delay_s(policy, relevant(policy, lives(*[1.0] * 5))) == 8


def test_a_history_of_years_is_not_kept() -> None:
    assert len(relevant(replace(POLICY, limit=5), lives(*[1.0] * 10_000))) == 1000
    assert len(relevant(replace(POLICY, limit=2000), lives(*[1.0] * 10_000))) == 2001
