"""Passage: how many runs came through each step, as far as it follows from where they are now.

A run knows where it is, and not by which way it came. Whoever stands behind a step that nobody gets around has been
through it; whoever stands where another way leads too may have been. So there is a least and a most.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from clarion.journey.automations.flow import END, Flow
from clarion.model import Ended
from clarion.ports import StepCount


class Passage(NamedTuple):
    """Of one step: runs that are there now, that ended there early, and that went on from there: at least, at most.

    Who came back in a round is there, and counts as that only.
    """

    here: int
    ended: dict[Ended, int]
    least: int
    most: int


def passages(flow: Flow, counts: Iterable[StepCount]) -> list[Passage]:
    """Of each step of a version, in order; counts of other versions are passed over. Time and space: steps squared."""
    size = len(flow.steps)
    mine = [one for one in counts if one.version == flow.automation.version and 0 <= one.step < size]
    before = _before(flow)
    around = [_without(flow, at) for at in range(size)]
    here, ended = Counter[int](), [Counter[Ended]() for _ in range(size)]
    least, most = Counter[int](), Counter[int]()
    for one in mine:
        if one.ended is None:
            here[one.step] += one.runs
        elif one.ended is Ended.DONE:  # it went on from its last step, to the end
            least[one.step] += one.runs
            most[one.step] += one.runs
        else:
            ended[one.step][one.ended] += one.runs
        for at in before[one.step] - {one.step}:
            most[at] += one.runs
            least[at] += one.runs if one.step not in around[at] else 0
    return [Passage(here[at], dict(ended[at]), least[at], most[at]) for at in range(size)]


def _before(flow: Flow) -> list[set[int]]:
    """For each step those from which it may be reached."""
    before: list[set[int]] = [set() for _ in flow.steps]
    for at in range(len(flow.steps)):
        for reached in _reached(flow, flow.ways(at)):
            before[reached].add(at)
    return before


def _without(flow: Flow, gone: int) -> set[int]:
    """Every step that a run may come to without going through one of them."""
    return set() if gone == 0 else _reached(flow, [0], gone)


def _reached(flow: Flow, starts: Iterable[int], gone: int = END) -> set[int]:
    seen: set[int] = set()
    waiting = list(starts)
    while waiting:
        at = waiting.pop()
        if at not in seen and at not in (END, gone):
            seen.add(at)
            waiting += flow.ways(at)
    return seen
