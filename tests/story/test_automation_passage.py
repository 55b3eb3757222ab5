"""How many runs came through a step, told from where they are: never more certain than what really happened."""

import random
from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.automations.flow import END, Flow, check
from clarion.journey.automations.passage import Passage, passages
from clarion.model import Automation, Ended
from clarion.ports import StepCount

DELAY = {"type": "delay", "for": {"hours": 1}}
SEND = {"type": "send", "notification": {"title": "Hello"}}


def flow_of(*steps: dict, version: int = 1) -> Flow:
    told = {"name": "a", "version": version, "on": {"event": "e"}, "goal": {"event": "g"}, "steps": list(steps)}
    automation = msgspec.convert(told, Automation)
    assert check(automation) == []
    return Flow(automation)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Steps that branch ahead and, over a wait, back: whatever the door lets in."""
    size = draw(st.integers(1, 7))
    steps: list[dict] = []
    for at in range(size):
        kind = draw(st.sampled_from(["send", "delay", "branch", "wait"]))
        ahead = st.integers(at + 1, size)
        if kind == "branch":
            paths = [{"to": f"s{draw(ahead)}", "percent": 30} for _ in range(draw(st.integers(1, 2)))]
            steps.append({"type": "branch", "id": f"s{at}", "paths": paths})
        elif kind == "wait":
            where = draw(st.integers(0, size))
            wait = {"type": "wait", "for": {"event": "x"}, "timeout": {"days": 1}, "on_timeout": f"s{where}"}
            steps.append({**wait, "id": f"s{at}"})
        else:
            steps.append({**(SEND if kind == "send" else DELAY), "id": f"s{at}"})
    # Nothing is out of reach: each step leads to the one below it, too.
    return flow_of(*steps, {"type": "exit", "id": f"s{size}"})


@given(flows(), st.randoms(use_true_random=False), st.integers(0, 30))
def test_what_really_happened_lies_between_the_least_and_the_most(flow: Flow, chance: random.Random, runs: int) -> None:
    where, went, here = Counter[tuple[int, Ended | None]](), Counter[int](), Counter[int]()
    for _ in range(runs):
        at, been, ended = 0, set[int](), None
        for _ in range(chance.randrange(12)):
            to = chance.choice(flow.ways(at))
            been.add(at)
            if to == END:
                ended = Ended.DONE
                break
            at = to
        else:
            ended = chance.choice([None, Ended.GOAL, Ended.CANCELLED])
        where[at, ended] += 1
        went.update(been if ended is Ended.DONE else been - {at})
        here[at] += ended is None
    counts = [StepCount(1, at, ended, count) for (at, ended), count in where.items()]
    for at, told in enumerate(passages(flow, counts)):
        assert told.here == here[at]
        assert told.least <= went[at] <= told.most <= runs
        early = {how: where[at, how] for how in (Ended.GOAL, Ended.CANCELLED) if where[at, how]}
        assert told.ended == early


def test_on_a_straight_way_nothing_is_uncertain() -> None:
    counts = [StepCount(1, 0, None, 5), StepCount(1, 1, Ended.GOAL, 2), StepCount(1, 2, Ended.DONE, 3)]
    assert passages(flow_of(DELAY, DELAY, SEND), counts) == [
        Passage(5, {}, 5, 5),
        Passage(0, {Ended.GOAL: 2}, 3, 3),
        Passage(0, {}, 3, 3),
    ]


def test_where_ways_meet_the_least_and_the_most_are_told() -> None:
    paths = [{"to": "other", "percent": 50}]
    one = {**SEND, "next": "both"}
    flow = flow_of({"type": "branch", "paths": paths}, one, {**SEND, "id": "other"}, {**DELAY, "id": "both"}, SEND)
    counts = [StepCount(1, 2, None, 1), StepCount(1, 3, None, 4)]
    assert [(told.least, told.most) for told in passages(flow, counts)] == [(5, 5), (0, 4), (0, 4), (0, 0), (0, 0)]


def test_runs_of_other_versions_are_no_part_of_it() -> None:
    counts = [StepCount(1, 0, None, 5), StepCount(3, 7, None, 5), StepCount(2, 1, None, 1)]
    assert [told.here for told in passages(flow_of(DELAY, DELAY, SEND, version=2), counts)] == [0, 1, 0]
