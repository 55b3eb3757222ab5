"""Whatever the automation, and whatever happens when: people hear what a plain reading of the steps says."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.journey.automations.flow import Flow, check
from clarion.journey.automations.stepping import in_part
from clarion.model import Automation
from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.runs import MINUTE, Runs
from story.world import World

EVENTS = ("a", "b", "c")
PEOPLE = ("ann", "bob")
IDS = ("s0", "s1", "s2", "s3", "s4", "s5")


def a_step(at: int, count: int) -> st.SearchStrategy[dict[str, Any]]:
    """The step at a place; to others it goes by their ids, back as well as ahead."""
    other = st.sampled_from(IDS[:count])
    match_ = st.fixed_dictionaries({"event": st.sampled_from(EVENTS)}, optional={"where": st.just({"n": 1})})
    minutes = st.integers(1, 6).map(lambda n: {"minutes": 10 * n})
    kinds = st.one_of(
        st.just({"type": "send", "notification": {"title": f"from {at}"}}),
        st.builds(lambda m: {"type": "delay", "for": m}, minutes),
        st.builds(
            lambda m, t, to: {"type": "wait", "for": m, "timeout": t, **({"on_timeout": to} if to else {})},
            match_,
            minutes,
            st.none() | other,
        ),
        st.builds(
            lambda p, to, if_to: {
                "type": "branch",
                "paths": [
                    {"if": {"type": "did", "event": "c"}, "to": if_to},
                    {"percent": p, "to": to},
                ],
            },
            st.sampled_from([0, 30, 70]),
            other,
            other,
        ),
        st.just({"type": "exit"}),
    )
    return st.builds(lambda step: {**step, "id": IDS[at]}, kinds)


@st.composite
def automations(draw: st.DrawFn) -> Automation:
    count = draw(st.integers(2, len(IDS)))
    body: dict[str, Any] = {
        "name": "x",
        "on": {"event": "a"},
        "steps": [draw(a_step(at, count)) for at in range(count)],
        "reentry": draw(st.sampled_from(["always", "never", {"minutes": 45}])),
    }
    if draw(st.booleans()):
        body["goal"] = {"event": "b", "where": {"n": 2}}
    if draw(st.integers(0, 3)) == 0:
        body["exit_on"] = {"event": "c", "where": {"n": 2}}
    return msgspec.convert(body, Automation)


happenings = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE), st.sampled_from(EVENTS), st.integers(1, 2), st.sampled_from([0, 1, 5, 10, 30, 60])
    ),
    max_size=14,
)


@dataclass
class Reader:
    """One person in an automation, minute by minute, as somebody would read the steps aloud."""

    automation: Automation
    user: str
    said: list[str] = field(default_factory=list)
    at: int | None = None
    until: int | None = None
    began: int | None = None
    done_c: bool = False

    def event(self, name: str, n: int, now: int) -> None:
        self.done_c = self.done_c or name == "c"
        if self.at is not None:
            for ends in (self.automation.goal, self.automation.exit_on):
                if ends is not None and self._is(ends, name, n):
                    self.at = None
                    break
            else:
                step = self._step()
                if step["type"] == "wait" and self._is_text(step["for"], name, n):
                    self._go(self._after(self.at), now)
        if name == "a" and self.at is None and self._may_begin(now):
            self.began = now
            self._go(0, now)

    def minute(self, now: int) -> None:
        if self.at is not None and self.until == now:
            step = self._step()
            late = step.get("on_timeout") if step["type"] == "wait" else None
            self._go(self._after(self.at) if late is None else IDS.index(late), now)

    def _go(self, to: int | None, now: int) -> None:
        self.at, self.until = to, None
        while self.at is not None:
            step = self._step()
            match step["type"]:
                case "delay":
                    self.until = now + step["for"]["minutes"]
                    return
                case "wait":
                    self.until = now + step["timeout"]["minutes"]
                    return
                case "send":
                    self.said.append(step["notification"]["title"])
                    self.at = self._after(self.at)
                case "branch":
                    self.at = self._way(step)
                case "exit":
                    self.at = None

    def _way(self, step: dict[str, Any]) -> int | None:
        assert self.at is not None
        by_rule, by_lot = step["paths"]
        if self.done_c:
            return IDS.index(by_rule["to"])
        if in_part("x", IDS[self.at], self.user) < by_lot["percent"]:
            return IDS.index(by_lot["to"])
        return self._after(self.at)

    def _may_begin(self, now: int) -> bool:
        if self.began is None or self.automation.reentry == "always":
            return True
        return self.automation.reentry != "never" and now >= self.began + 45

    def _after(self, at: int) -> int | None:
        return at + 1 if at + 1 < len(self.automation.steps or ()) else None

    def _step(self) -> dict[str, Any]:
        assert self.at is not None
        return msgspec.to_builtins((self.automation.steps or [])[self.at])

    @staticmethod
    def _is(match_: Any, name: str, n: int) -> bool:
        return match_.event == name and match_.where.get("n", n) == n

    @staticmethod
    def _is_text(match_: dict[str, Any], name: str, n: int) -> bool:
        return match_["event"] == name and match_.get("where", {}).get("n", n) == n


async def _lived(automation: Automation, happened: list[tuple[str, str, int, int]]) -> tuple[dict, dict]:
    clock = ManualClock()
    on = Runs(await World(MemoryStore(clock), clock, SeededChance()).begin())
    await on.define("x", **{k: v for k, v in msgspec.to_builtins(automation).items() if k != "name"})
    for user in PEOPLE:
        await on.person(user)
    readers = {user: Reader(automation, user) for user in PEOPLE}
    minute = 0
    for user, name, n, pause in [*happened, ("ann", "z", 0, 400)]:
        for _ in range(pause):
            minute += 1
            clock.advance(MINUTE)
            under_way = any(reader.at is not None for reader in readers.values())  # or ends in this minute
            for reader in readers.values():
                reader.minute(minute)
            if under_way or minute % 10 == 0:
                await on.work()
        await on.happens(user, name, n=n)
        readers[user].event(name, n, minute)
    page = await on.world.store.trail.notifications(on.world.project.key, None, 1_000)
    heard: dict[str, list[str]] = {user: [] for user in PEOPLE}
    for one in sorted(page.items, key=lambda one: one.key):
        for user in one.to.users or ():
            heard[user].append(str(one.message.title))
    return heard, {user: reader.said for user, reader in readers.items()}


@settings(max_examples=60)
@given(automations().filter(lambda one: not check(one)), happenings)
def test_people_hear_what_the_steps_say(automation: Automation, happened: list[tuple[str, str, int, int]]) -> None:
    heard, read = asyncio.run(_lived(automation, happened))
    assert {user: sorted(said) for user, said in heard.items()} == {user: sorted(said) for user, said in read.items()}


@given(automations())
def test_what_is_let_in_always_pauses_and_can_end(automation: Automation) -> None:
    """By walking at random: no round without a pause, and an end within reach of every step that is reached."""
    wrong = {one.field for one in check(automation)}
    flow = Flow(automation)
    reached = _ahead(flow, 0)
    stuck = {at for at in reached if not _ends(flow, at)}
    leaves = automation.goal is not None or automation.exit_on is not None
    lost = set(range(len(flow.steps))) - reached
    assert bool(wrong) == bool(lost or (stuck and not leaves) or any(_spins(flow, at) for at in reached))


def _ahead(flow: Flow, start: int) -> set[int]:
    found = {start}
    while more := {to for at in found for to in flow.ways(at) if to >= 0} - found:
        found |= more
    return found


def _ends(flow: Flow, at: int) -> bool:
    return any(to < 0 for one in _ahead(flow, at) for to in flow.ways(one))


def _spins(flow: Flow, start: int) -> bool:
    def walk(at: int, seen: tuple[int, ...]) -> Iterator[bool]:
        if type(flow.steps[at]).__name__ in ("Delay", "Wait"):
            return
        for to in flow.ways(at):
            if to in seen:
                yield to == start
            elif to >= 0:
                yield from walk(to, (*seen, to))

    return any(walk(start, (start,)))
