"""Plots as numbers: what templates draw as SVG, in the units of its view box. Pure geometry, no colours."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 1000.0, 240.0
_GAP = 0.28
_TICKS = 4
_SCALES = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.4, 0.6, 1.0)
_STEPS = (1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0)


class Box(NamedTuple):
    """One part of a column. `series` says what it counts."""

    series: str
    x: float
    y: float
    width: float
    height: float


class Columns(NamedTuple):
    """Stacked columns, the y axis's labels from top to bottom, and what each column says in words."""

    boxes: list[Box]
    labels: list[str]
    lines: list[float]


class Bar(NamedTuple):
    """A row of a bar plot: `share` of the longest, from 0 to 100."""

    label: str
    number: int
    share: float
    tone: str
    code: str


class Whisker(NamedTuple):
    """A value and its interval on a line from 0 to 100."""

    at: float
    left: float
    width: float


def whisker(value: float, low: float, high: float, scale: float) -> Whisker:
    """`scale`: what the whole line stands for; what is beyond it is cut."""
    at, left, right = (round(min(100.0, 100 * one / scale), 2) for one in (value, low, high))
    return Whisker(at, left, round(right - left, 2))


def scale(tops: Iterable[float]) -> float:
    """The least round part of 1 that holds all of these, so that halves of it are easily read; 1 for none."""
    top = max(tops, default=1.0)
    return next((one for one in _SCALES if one >= top), 1.0)


def columns(stacks: Sequence[Mapping[str, int]], series: Sequence[str], label: Callable[[float], str]) -> Columns:
    """One column for each of `stacks`, in the order of time; `series` from the bottom up."""
    top = ceiling(max((sum(stack.values()) for stack in stacks), default=0))
    boxes = []
    step = WIDTH / max(len(stacks), 1)
    for at, stack in enumerate(stacks):
        y = HEIGHT
        for name in series:
            height = HEIGHT * stack.get(name, 0) / top
            if height > 0:
                y -= height
                left = step * at + step * _GAP / 2
                boxes.append(Box(name, round(left, 2), round(y, 2), round(step * (1 - _GAP), 2), round(height, 2)))
    marks = [top * part / _TICKS for part in range(_TICKS, -1, -1)]
    return Columns(boxes, [label(mark) for mark in marks], [HEIGHT * part / _TICKS for part in range(_TICKS + 1)])


def spark(values: Sequence[float]) -> str:
    """The points of a small line, 100 wide and 24 high; empty for fewer than two values or nothing but zeros."""
    top = max(values, default=0)
    if len(values) < 2 or top <= 0:  # noqa: PLR2004 - a line has two ends
        return ""
    step = 100 / (len(values) - 1)
    return " ".join(f"{step * at:.1f},{22 - 20 * value / top:.1f}" for at, value in enumerate(values))


def bars(rows: Sequence[tuple[str, str, int, str]]) -> list[Bar]:
    """(code, label, count, tone), the longest first."""
    top = max((count for _, _, count, _ in rows), default=0)
    ordered = sorted(rows, key=lambda row: -row[2])
    return [Bar(label, count, round(100 * count / top, 2), tone, code) for code, label, count, tone in ordered if count]


def ceiling(value: int) -> int:
    """The least round number that is not less and that four ticks divide into whole numbers."""
    unit = 10 ** (len(str(max(value, 1))) - 1)
    rounded: Iterator[int] = (round(step * size) for size in (unit, 10 * unit) for step in _STEPS)
    return next(top for top in rounded if top >= value and top % _TICKS == 0)
