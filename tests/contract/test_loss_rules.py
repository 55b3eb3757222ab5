"""Who was lost by what, against a plain reading of the rule; and its statistics, against what is known of them."""

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from clarion.intelligence.proportions import proportion, ratio_low
from clarion.journey import losses
from clarion.journey.losses import Label, day_of
from clarion.model import CHANNEL_OF_KIND, DAY_MS, Channel, DeviceKind
from clarion.ports import Dimension, Loss, LossCount, LossKind, Touch

HOUR_MS = DAY_MS // 24
CATEGORIES = ("news", "offers")
KINDS = (DeviceKind.WEBPUSH, DeviceKind.EMAIL)
hours = some.integers(0, 12).map(lambda number: number * 4 * HOUR_MS)
labels_of = some.dictionaries(
    some.integers(1, 4),
    some.tuples(some.sampled_from((0, DAY_MS)), some.sampled_from(CATEGORIES), some.sampled_from((None, "t1", "t2"))),
    min_size=2,
)
touches_of = some.lists(
    some.builds(Touch, some.integers(1, 4), some.integers(1, 2), some.integers(1, 2), some.sampled_from(KINDS), hours),
    min_size=6,
)
losses_of = some.lists(
    some.one_of(
        some.builds(
            Loss,
            user=some.integers(1, 2),
            at=hours,
            kind=some.just(LossKind.OPT_OUT),
            channel=some.sampled_from((Channel.PUSH, Channel.EMAIL)),
            category=some.sampled_from(CATEGORIES),
        ),
        some.builds(
            Loss,
            user=some.integers(1, 2),
            at=hours,
            kind=some.sampled_from((LossKind.PERMISSION, LossKind.SUBSCRIPTION)),
            channel=some.sampled_from((Channel.PUSH, Channel.EMAIL)),
            device=some.none() | some.integers(1, 2),
        ),
    )
)


def label(key: int, told: tuple[int, str, str | None]) -> Label:
    day, category, template = told
    names = [(Dimension.CATEGORY, category), (Dimension.CAMPAIGN, str(key))]
    return Label(day, category, (*names, *([(Dimension.TEMPLATE, template)] if template else [])))


def plainly(  # noqa: C901 - one look at each condition
    said: list[Loss], reached: list[Touch], labels: dict[int, Label]
) -> dict:
    """(dimension, name, day) → (kind → people), as one would read the guide aloud."""
    found: dict = {}
    for loss in said:
        newest: dict = {}
        for touch in reached:
            if touch.notification not in labels or touch.user != loss.user:
                continue
            about = labels[touch.notification]
            if touch.at > loss.at or loss.at - touch.at > 24 * HOUR_MS:
                continue
            if loss.channel != CHANNEL_OF_KIND[touch.kind]:
                continue
            if loss.kind == "opt_out" and about.category != loss.category:
                continue
            if loss.kind != "opt_out" and loss.device not in (None, touch.device):
                continue
            for name in about.names:
                if name not in newest or (touch.at, touch.notification) > newest[name][0]:
                    newest[name] = ((touch.at, touch.notification), about.day)
        for (dimension, name), (_, day) in newest.items():
            found.setdefault((dimension, name, day), {}).setdefault(loss.kind, set()).add(loss.user)
    return found


@settings(max_examples=400)
@given(losses_of, touches_of, labels_of)
def test_losses_are_tied_and_counted_as_the_guide_says(said: list, reached: list, about: dict) -> None:
    labels = {key: label(key, told) for key, told in about.items()}
    counted: losses.Counted = {}
    losses.tally(losses.tie(said, reached, labels), labels, counted)
    assert counted == plainly(said, reached, labels)


def test_counts_add_who_was_lost_in_any_way_once() -> None:
    count = LossCount(dimension=Dimension.CATEGORY, name="news", day=0, reached=9)
    people = {LossKind.OPT_OUT: {1, 2}, LossKind.PERMISSION: {2, 3}}
    [told] = losses.with_losses([count], {(Dimension.CATEGORY, "news", 0): people})
    assert (told.lost, told.opt_outs, told.permissions, told.subscriptions) == (3, 2, 2, 0)


def test_a_day_begins_at_midnight() -> None:
    assert [day_of(at) for at in (DAY_MS - 1, DAY_MS, DAY_MS + 1)] == [0, DAY_MS, DAY_MS]


def named(lost: int, reached: int, name: str = "news") -> LossCount:
    return LossCount(dimension=Dimension.CATEGORY, name=name, day=0, reached=reached, lost=lost)


@pytest.mark.parametrize(
    ("recent", "usual", "alarms"),
    [
        (named(2, 100), named(1, 1_000), False),  # twenty times as many, and two people
        (named(9, 1_000), named(0, 100_000), False),  # below ten nothing is said
        (named(10, 1_000), named(0, 100_000), True),
        (named(40, 1_000), named(20, 1_000), False),  # double, which may be chance
        (named(400, 10_000), named(200, 10_000), True),
        (named(399, 10_000), named(200, 10_000), False),  # sure, and not double
        (named(40, 1_000), named(20, 1_000, "other"), False),  # nothing is usual
        (named(50, 1_000), named(0, 0), False),
    ],
)
def test_an_alert_needs_twice_as_many_and_no_chance(recent: LossCount, usual: LossCount, alarms: bool) -> None:
    assert bool(losses.alerts(1, [recent], [usual], 0)) is alarms


@given(some.integers(1, 40), some.integers(0, 40), some.integers(100, 10_000), some.integers(100, 10_000))
def test_the_bound_of_a_ratio_is_the_one_that_chance_reaches_once_in_a_thousand(
    part: int, usual: int, whole: int, usual_whole: int
) -> None:
    low = ratio_low(part, whole, usual, usual_whole)
    share = low * whole / (low * whole + usual_whole)
    trials = part + usual
    chance = sum(comb(trials, n) * share**n * (1 - share) ** (trials - n) for n in range(part, trials + 1))
    assert chance == pytest.approx(0.001, rel=1e-4)


def test_a_large_ratio_is_still_counted() -> None:
    assert 1.9 < ratio_low(20_000, 1_000_000, 300_000, 30_000_000) < 2.0


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (10, 10, 0.7225, 1.0), (50, 1_000, 0.0381, 0.0653)],
)
def test_intervals_are_wilsons(part: int, whole: int, low: float, high: float) -> None:
    found = proportion(part, whole)
    assert found is not None
    assert found == pytest.approx((part / whole, low, high), abs=1e-4)
    assert proportion(0, 0) is None
