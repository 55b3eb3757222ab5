"""Plots stay inside their frame and tell the truth, whatever the numbers are; so do the numbers' words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.dashboard import figures, words
from clarion.model import DeliveryState, DeviceKind, Reason

COUNTS = st.integers(0, 10**9)
SERIES = ("a", "b", "c")


@given(COUNTS)
def test_an_axis_ends_at_a_round_number_that_four_ticks_divide(value: int) -> None:
    top = figures.ceiling(value)
    assert value <= top <= max(4, 2.5 * value)
    assert top % 4 == 0


@given(st.lists(st.dictionaries(st.sampled_from(SERIES), COUNTS), max_size=30))
def test_columns_stand_on_each_other_and_in_proportion(stacks: list[dict[str, int]]) -> None:
    drawn = figures.columns(stacks, SERIES, str)
    top = figures.ceiling(max((sum(stack.values()) for stack in stacks), default=0))
    step = figures.WIDTH / max(len(stacks), 1)
    for at, stack in enumerate(stacks):
        boxes = [box for box in drawn.boxes if step * at <= box.x < step * (at + 1)]
        assert [box.series for box in boxes] == [name for name in SERIES if stack.get(name)]
        floor = figures.HEIGHT
        for box in boxes:
            assert box.y + box.height == pytest.approx(floor, abs=0.05)
            assert box.height == pytest.approx(figures.HEIGHT * stack[box.series] / top, abs=0.05)
            assert box.x + box.width <= step * (at + 1) + 0.01
            floor = box.y
        assert floor >= -0.05


@given(st.lists(st.tuples(st.sampled_from(SERIES), st.just("label"), COUNTS, st.just("good"))))
def test_bars_are_ordered_in_proportion_and_without_nothing(rows: list[tuple[str, str, int, str]]) -> None:
    drawn = figures.bars(rows)
    assert [bar.number for bar in drawn] == sorted((count for _, _, count, _ in rows if count), reverse=True)
    assert all(0 <= bar.share <= 100 for bar in drawn)
    assert not drawn or drawn[0].share == 100


@given(st.lists(COUNTS, max_size=30))
def test_a_line_stays_in_its_box(values: list[int]) -> None:
    points = [tuple(map(float, point.split(","))) for point in figures.spark(values).split()]
    assert all(0 <= x <= 100 and 2 <= y <= 22 for x, y in points)
    assert len(points) in (0, len(values))


@given(st.lists(st.floats(0, 1), max_size=9))
def test_a_scale_holds_all_and_wastes_little(tops: list[float]) -> None:
    scale = figures.scale(tops)
    top = max(tops, default=1.0)
    assert top <= scale <= max(0.001, 2.5 * top)


@given(st.tuples(*[st.floats(0, 1)] * 3).map(sorted), st.floats(0.001, 1))
def test_a_whisker_holds_its_value_and_stays_on_its_line(rate: list[float], scale: float) -> None:
    low, value, high = rate
    drawn = figures.whisker(value, low, high, scale)
    assert 0 <= drawn.left <= drawn.at <= round(drawn.left + drawn.width, 2) <= 100
    if high <= scale:
        assert drawn.at == pytest.approx(100 * value / scale, abs=0.01)


@given(COUNTS, COUNTS)
def test_a_percentage_never_rounds_to_all_or_nothing(one: int, other: int) -> None:
    part, total = sorted((one, other))
    told = words.percent(part, total)
    assert (told == "0\u202f%") is (part == 0 and total > 0)
    assert (told == "100\u202f%") is (part == total > 0)


def test_every_word_of_the_system_has_one_for_people() -> None:
    assert set(words.REASONS) == set(Reason)
    assert set(words.STATES) == set(DeliveryState)
    assert set(words.KINDS) == set(DeviceKind)
    assert len(set(words.REASONS.values())) == len(Reason)


def test_large_numbers_are_short() -> None:
    assert [words.short(number) for number in (0, 999, 9_999, 12_840, 1_283_000)] == [
        "0",
        "999",
        "9\u202f999",
        "12.8k",
        "1.28M",
    ]
