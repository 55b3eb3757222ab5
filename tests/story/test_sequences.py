"""Intervals that may be looked at any time: seldom wrong at any moment, where usual ones are sooner or later."""

from math import inf, log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.intelligence.experiments import Counts, Interval, difference, rate_interval

ALPHA = 0.05
RUNS = 160
PEOPLE, PEEK = 3_000, 75


@st.composite
def some_counts(draw: st.DrawFn) -> Counts:
    people = draw(st.integers(0, 2_000_000))
    return Counts(people, draw(st.integers(0, people)))


def bet(counts: Counts, rate: float) -> float:
    """What a bet against a rate has won, person by person: the odds that it gave each of them, by those that were true.

    Half a success and half a failure are known before the first. The order of people does not matter.
    """
    won = 0.0
    for at in range(counts.people):
        is_success = at < counts.successes
        known = min(at, counts.successes) + 0.5 if is_success else at - counts.successes + 0.5
        won += log(known / (at + 1)) - log(rate if is_success else 1 - rate)
    return won


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_rate_leaves_where_a_fair_bet_would_have_won(successes: int, failures: int) -> None:
    counts = Counts(successes + failures, successes)
    low, high = rate_interval(counts, ALPHA)
    for border, inwards, is_open in ((low, 1e-6, low > 0), (high, -1e-6, high < 1)):
        if is_open:
            assert bet(counts, border) >= log(1 / ALPHA) - 1e-9
            assert bet(counts, border + inwards) < log(1 / ALPHA)
    assert (low == 0) == (successes == 0 or bet(counts, 1e-300) < log(1 / ALPHA))


@given(some_counts())
def test_the_rate_is_within_and_failures_mirror_successes(counts: Counts) -> None:
    low, high = rate_interval(counts, ALPHA)
    assert 0 <= low <= counts.rate <= high <= 1 or counts.people == 0
    mirrored = rate_interval(Counts(counts.people, counts.people - counts.successes), ALPHA)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
    wider = rate_interval(counts, ALPHA / 10)
    assert wider.low <= low
    assert wider.high >= high


@given(some_counts(), some_counts())
def test_a_difference_is_clear_exactly_when_the_bet_against_none_has_won(one: Counts, other: Counts) -> None:
    found, back = difference(one, other, ALPHA), difference(other, one, ALPHA)
    assert back.estimate == -found.estimate
    assert back.interval == pytest.approx((-found.interval.high, -found.interval.low))
    assert found.interval.low <= found.estimate <= found.interval.high
    if abs(found.e_value * ALPHA - 1) > 1e-6:
        assert found.is_clear == (found.e_value >= 1 / ALPHA)


def usual(counts: Counts) -> Interval:
    """The interval of a textbook, for one look at a moment that was chosen ahead."""
    width = 1.96 * sqrt(counts.rate * (1 - counts.rate) / counts.people)
    return Interval(counts.rate - width, counts.rate + width)


def usual_difference(one: Counts, other: Counts) -> Interval:
    spread = sum(each.rate * (1 - each.rate) / each.people for each in (one, other))
    estimate, width = one.rate - other.rate, 1.96 * sqrt(spread)
    return Interval(estimate - width, estimate + width)


def is_in(value: float, interval: Interval) -> bool:
    return interval.low <= value <= interval.high


@pytest.mark.parametrize(("a", "b"), [(0.005, 0.005), (0.03, 0.03), (0.03, 0.06), (0.5, 0.5), (0.9, 0.7)])
def test_whoever_peeks_is_seldom_wrong(a: float, b: float) -> None:
    """After every 75 people somebody looks: in at most 5 of 100 runs does the truth ever leave the interval."""
    chance = Random(f"{a} {b}")
    wrong = {"rate": 0, "difference": 0, "usual rate": 0, "usual difference": 0}
    for _ in range(RUNS):
        left = dict.fromkeys(wrong, False)
        people, successes = [0, 0], [0, 0]
        for at in range(1, PEOPLE + 1):
            arm = chance.random() < 0.5
            people[arm] += 1
            successes[arm] += chance.random() < (b if arm else a)
            if at % PEEK:
                continue
            one, other = Counts(people[0], successes[0]), Counts(people[1], successes[1])
            left["rate"] |= not is_in(a, rate_interval(one, ALPHA))
            left["difference"] |= not is_in(a - b, difference(one, other, ALPHA).interval)
            if at >= PEOPLE / 10:  # a textbook wants many
                left["usual rate"] |= not is_in(a, usual(one))
                left["usual difference"] |= not is_in(a - b, usual_difference(one, other))
        for name, was in left.items():
            wrong[name] += was
    assert wrong["rate"] <= ALPHA * RUNS
    assert wrong["difference"] <= ALPHA * RUNS
    assert wrong["usual rate"] > 2 * ALPHA * RUNS
    assert wrong["usual difference"] > 2 * ALPHA * RUNS, wrong


def test_what_differs_is_found() -> None:
    """Half as many again of 3 percent: clear with ten thousand people each, and three points with a thousand."""
    assert difference(Counts(10_000, 450), Counts(10_000, 300), ALPHA).is_clear
    assert difference(Counts(1_000, 60), Counts(1_000, 20), ALPHA).is_clear
    assert not difference(Counts(1_000, 32), Counts(1_000, 30), ALPHA).is_clear
    assert rate_interval(Counts(100_000, 3_000), ALPHA).low > 0.0275
    assert difference(Counts(0, 0), Counts(5, 1), ALPHA).interval == (-1, 1)
    assert difference(Counts(10**6, 10**6), Counts(10**6, 0), ALPHA).e_value < inf
