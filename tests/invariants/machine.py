"""Everything that can happen, in any order: people, senders, workers and the clock, beside a book that must not lie."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from clarion.model import Digest, Message, Permission, ProjectSettings
from clarion.ports import Gone, ProviderOutcome, RetryAfter, Store
from invariants.nouns import Kind, Laws
from invariants.oracle import FRESH_MS, Book
from invariants.platform import platform
from invariants.readings import next_on_wall, zone_of
from invariants.senders import Senders
from invariants.strategies import (
    DIGESTS,
    EDGES,
    JUMPS_MS,
    KINDS,
    NAMES,
    NEARLY_MS,
    STARTS,
    ZONES,
    messages,
    numbers,
    rules_of_projects,
    someone,
)
from invariants.workers import LEASE_MS, PATIENCE


class Clarion(Senders):
    """Drives one project on a store, from outside its event loop."""

    store: Callable[[], Store]
    wait: Callable[[Coroutine[Any, Any, Any]], Any]

    # --- the beginning -----------------------------------------------------------------------------------------------

    @initialize(
        settings=rules_of_projects,
        start=st.sampled_from(STARTS),
        digest=st.sampled_from(DIGESTS),
        zones=st.tuples(*[st.sampled_from(ZONES)] * len(NAMES)),
    )
    def begin(self, settings: ProjectSettings, start: int, digest: Digest, zones: tuple[str | None, ...]) -> None:
        self.clock.put(start)
        kinds = [one if one.name != "chat" else Kind(one.name, one.class_, digest=digest) for one in KINDS]
        self.wait(self._begin(settings, kinds, zones))

    async def _begin(self, settings: ProjectSettings, kinds: list[Kind], zones: tuple[str | None, ...]) -> None:
        self.world, self.fragile = await platform(self.store(), self.clock, self._answer)
        self.world.project = msgspec.structs.replace(self.world.project, settings=settings)
        await self.world.store.projects.update(self.world.project)
        for kind in kinds:
            told = {"name": kind.name, "class": kind.class_, "quiet_hours": kind.quiet, "digest": kind.digest}
            await self.world.define("categories", channels=list(kind.channels), **msgspec.to_builtins(told))
        self.book = Book(Laws(self.world.project.id, settings, {kind.name: kind for kind in kinds}))
        self.pipelines = [self.world.pipeline, self.world.another_pipeline()]
        for number, (name, zone) in enumerate(zip(NAMES, zones, strict=True)):
            await self._subscribe(name, f"d{number}", Permission.GRANTED, zone)
            await self._says(name, "offers", None, granted=True)
            await self._says(name, "news", None, granted=True)

    # --- time and workers --------------------------------------------------------------------------------------------

    @rule(jump=st.sampled_from(JUMPS_MS))
    def time_passes(self, jump: int) -> None:
        self.clock.advance(jump)

    @rule(who=someone, edge=st.sampled_from(EDGES), nearly=st.sampled_from(NEARLY_MS))
    def it_is_nearly_time(self, who: int, edge: str, nearly: int) -> None:
        """By the clock on somebody's wall."""
        person = self.book.called(self._someone(who))
        if person is not None:
            now = self.clock.now()
            moment = next_on_wall(edge, zone_of(person, self.book.laws.settings, now), now + 1)
            self.clock.advance(max(0, moment + nearly - now))

    @rule(nearly=st.sampled_from(NEARLY_MS))
    def something_is_nearly_due(self, nearly: int) -> None:
        """And done, if it is."""
        self.clock.advance(max(0, self.wait(self._next_due()) + nearly - self.clock.now()))
        self.wait(self._work())

    @rule()
    def all_is_decided(self) -> None:
        """And nothing leaves yet."""
        self.wait(self._work(leaving=False))

    @rule(
        message=messages,
        who=st.integers(0, len(NAMES) - 1),
        change=st.sampled_from(["no", "no marketing", "quiet", "paid", "closed", "not theirs"]),
        late=st.sampled_from([0, FRESH_MS + 1]),
    )
    def they_think_better_of_it(self, message: Message, who: int, change: str, late: int) -> None:
        """What was decided to be sent has not left yet."""
        self.wait(self._notify(message, [NAMES[who]], None))
        self.wait(self._work(leaving=False))
        match change:
            case "no":
                self.wait(self._says(NAMES[who], message.category, "push", granted=False))
            case "no marketing":
                self.pauses_marketing(who, 30)
            case "quiet":
                self.wants_quiet_now(who)
            case "paid":
                self.pays(who)
            case "closed":
                self.opens(who, is_open=False)
            case "not theirs":
                self.registers((who + 1) % len(NAMES), who, Permission.GRANTED, None)
        self.clock.advance(late)
        self.wait(self._work())

    @rule(message=messages, who=someone, change=st.sampled_from(["cancelled", "anew", "taken back"]))
    def the_sender_thinks_better_of_it(self, message: Message, who: int, change: str) -> None:
        told = self.wait(self._notify(message, [self._someone(who)], None))
        self.wait(self._work(leaving=False))
        match change:
            case "cancelled":
                self._call_off(told)
            case "anew":
                self.wait(self._replace(told, renotify=True))
            case "taken back":
                self._take_back(told)
        self.wait(self._work())

    @rule(
        answers=st.lists(
            st.sampled_from([Gone("410", None), RetryAfter(60.0), RetryAfter(60.0), RetryAfter(None)]), max_size=3
        )
    )
    def the_service_answers_otherwise(self, answers: list[ProviderOutcome]) -> None:
        self.answers = list(answers)

    @rule()
    def all_work_is_done(self) -> None:
        self.wait(self._work())

    @rule(number=numbers, process=st.integers(0, 1))
    def somebody_is_slow(self, number: int, process: int) -> None:
        """Others do their job, and they come back to it."""
        taken = len(self.hands)
        self.wait(self._claim(number))
        self.clock.advance(LEASE_MS + 1)
        self.wait(self._work())
        for lease in self.hands[taken:]:
            self.hands.remove(lease)
            self.wait(self._step(lease, process))

    @rule(number=numbers)
    def somebody_takes_a_job(self, number: int) -> None:
        self.wait(self._claim(number))

    @rule(number=numbers, dies=st.sampled_from([False, False, True]), process=st.integers(0, 1))
    def somebody_goes_on(self, number: int, dies: bool, process: int) -> None:
        """With a job that they took some time ago: it may be somebody else's by now."""
        if self.hands:
            lease = self.hands.pop(number % len(self.hands))
            self.wait(self._step(lease, process, dies=dies))

    # --- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """What went wrong in the middle is told as it was."""
        if hasattr(self, "book") and sys.exc_info()[0] is None:
            self.wait(self._end())

    async def _end(self) -> None:
        self.answers = []
        for told in self._campaigns(paused=True):
            await self._resume(told)
        for _ in range(PATIENCE):
            await self._work()
            due = min((await self.world.store.work.waiting()).values(), default=None)
            if due is None:
                break
            self.clock.advance(max(0, due - self.clock.now()))
        else:
            raise AssertionError("it never ends")
        for told in self.book.told.values():
            decisions, deliveries = [
                await get(told.notification) for get in (self.world.decisions, self.world.deliveries)
            ]
            self.book.settled(told, decisions, deliveries)
        self.book.no_cap_is_exceeded()
        self.book.nothing_is_said_twice()
