"""Control groups: always the same people, as many as was said, and each key's independent of the others'."""

from math import sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.rules import groups, holdout
from clarion.model import Holdout, Message, ProjectSettings
from story.world import World

PEOPLE = [f"user-{number}" for number in range(20_000)]
keys = st.text(min_size=1, max_size=20)
percents = st.floats(min_value=0.01, max_value=99)


def held(key: str, percent: float, people: list[str], project: str = "shop") -> set[str]:
    found = groups(project, ProjectSettings(), Message(holdout=Holdout(key=key, percent=percent)))
    return {name for name in people if holdout(found, name).reason is not None}


def held_by_project(percent: float, people: list[str], project: str = "shop") -> set[str]:
    found = groups(project, ProjectSettings(holdout_percent=percent), Message(title="x"))
    return {name for name in people if holdout(found, name).reason is not None}


@given(keys, percents, percents, st.lists(st.text(min_size=1), max_size=30))
def test_a_group_is_stable_and_only_grows(key: str, one: float, other: float, people: list[str]) -> None:
    small, large = sorted((one, other))
    assert held(key, small, people) == held(key, small, list(reversed(people)))
    assert held(key, small, people) <= held(key, large, people)
    assert held_by_project(min(small, 50), people) <= held_by_project(min(large, 50), people)


def test_groups_of_today_are_those_of_yesterday() -> None:
    """Whoever was in a group stays in it: another hash would mix experiments that run."""
    assert [name for name in PEOPLE[:60] if name in held("welcome", 10, PEOPLE[:60])] == [
        "user-16",
        "user-33",
        "user-41",
        "user-53",
        "user-54",
        "user-55",
    ]
    assert [name for name in PEOPLE[:60] if name in held_by_project(10, PEOPLE[:60])] == [
        "user-0",
        "user-2",
        "user-3",
        "user-16",
        "user-26",
        "user-31",
        "user-43",
    ]


@pytest.mark.parametrize("percent", [0.5, 2.5, 10, 50])
@pytest.mark.parametrize("key", ["welcome", "cart", "winback-2026"])
def test_a_group_has_its_size(key: str, percent: float) -> None:
    share = percent / 100
    # Five standard deviations of a fair draw.
    allowed = 5 * sqrt(len(PEOPLE) * share * (1 - share))
    assert abs(len(held(key, percent, PEOPLE)) - len(PEOPLE) * share) < allowed
    assert abs(len(held_by_project(percent, PEOPLE)) - len(PEOPLE) * share) < allowed


def test_groups_are_independent_of_each_other() -> None:
    ones = [held("welcome", 20, PEOPLE), held("cart", 20, PEOPLE), held_by_project(20, PEOPLE)]
    ones += [held("welcome", 20, PEOPLE, "another")]
    expected, allowed = len(PEOPLE) * 0.04, 5 * sqrt(len(PEOPLE) * 0.04 * 0.96)
    for at, one in enumerate(ones):
        for other in ones[at + 1 :]:
            assert abs(len(one & other) - expected) < allowed


@given(st.integers(0, 10_000))
def test_nobody_and_everybody_else(number: int) -> None:
    assert groups("shop", ProjectSettings(), Message(title="x")) == ()
    assert groups("shop", ProjectSettings(), Message(holdout=Holdout(key="k", percent=0))) == ()
    one = held_by_project(50, [f"u{number}"])
    assert one in (set(), {f"u{number}"})


async def test_who_is_held_out_gets_nothing_but_what_is_mandatory(world: World) -> None:
    settings = ProjectSettings(holdout_percent=30)
    world.project = msgspec.structs.replace(world.project, settings=settings)
    await world.store.projects.update(world.project)
    await world.define("categories", **{"name": "security", "class": "mandatory"})
    names = PEOPLE[:60]
    for name in names:
        await world.subscribe(name)
    out = held_by_project(30, names, world.project.id)
    own = held("spring", 40, names, world.project.id)
    assert out - own
    assert own - out
    both = Holdout(key="spring", percent=40)
    tip = await world.notify(*names, holdout=both)
    alarm = await world.notify(*names, holdout=both, category="security")
    await world.work()
    assert {name for name, reason in (await world.reasons(tip)).items() if reason == "holdout"} == out | own
    assert set((await world.reasons(alarm)).values()) == {"send"}
    gates = {one.user_id: one.gates for one in await world.decisions(tip)}
    assert all('["holdout","drop","global control group (30 %)"]' in gates[name] for name in out)
    assert all('["holdout","drop","control group spring (40 %)"]' in gates[name] for name in own - out)
    assert all('["holdout","pass","in no control group"]' in gates[name] for name in set(names) - out - own)
    assert all('["holdout","pass","mandatory"]' in one.gates for one in await world.decisions(alarm))
