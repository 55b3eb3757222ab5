"""Whatever happens to what is collected: each is in exactly one digest that was sent, or sent by itself, or dropped."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.journey.permission import Said
from clarion.model import Cap, Notification, PreferenceChange, QuietHours, Reason, Rolling, Verdict, verdict_of
from clarion.ports import Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.test_caps import set_caps
from story.test_digests import comment, digesting, later
from story.world import World, payload, subscription

PEOPLE = ("ada", "bob")
WINDOWS = (
    {"kind": "fixed", "seconds": 600},
    {"kind": "sliding", "seconds": 120, "max_seconds": 400},
    {"kind": "scheduled", "at": ["08:20", "13:00"]},
)


KINDS = ["tell"] * 6 + ["both", "batch", "pass", "pass", "cancel", "die", "race", "no", "yes", "guest"]


class Op(NamedTuple):
    """What happens: somebody is told something, time passes, something is called off, a worker dies."""

    kind: str
    user: str
    number: int
    ttl: int
    more: str | None


ops = st.lists(
    st.builds(
        Op,
        kind=st.sampled_from(KINDS),
        user=st.sampled_from(PEOPLE),
        number=st.integers(0, 9),
        ttl=st.sampled_from([90, 700, 3 * 86_400]),
        more=st.sampled_from([None, None, "urgent", "same", "wrong"]),
    ),
    min_size=4,
    max_size=25,
)
digests = st.fixed_dictionaries(
    {
        "window": st.sampled_from(WINDOWS),
        "key": st.sampled_from([None, "{{ data.post }}"]),
        "immediate_first": st.booleans(),
        "min_items": st.integers(2, 3),
        "max_items": st.integers(3, 5),
    }
)
caps = st.sampled_from([None, ("wait", 1), ("drop", 2), ("wait", 3)])
PASSES_S = (1, 30, 119, 120, 300, 600, 601, 3600, 5 * 3600, 20)


class Teller:
    """One world, and everything that was told in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[Notification] = []
        self.guests = 0

    async def happen(self, op: Op) -> None:
        world = self.world
        match op.kind:
            case "tell" | "both":
                self.told.append(await self.tell(op, PEOPLE if op.kind == "both" else (op.user,)))
            case "batch":
                for _ in range(op.number % 4 + 1):
                    await world.happens(op.user, "commented", post=f"p{op.number % 2}")
                await world.work()
            case "pass":
                await later(world, seconds=PASSES_S[op.number])
            case "cancel" if self.told:
                await world.pipeline.cancel(world.project, self.told[op.number % len(self.told)].id)
                await world.work()
            case "die" | "race":
                await self.leases(op.number, steps=op.kind == "race")
            case "no" | "yes":
                said = [Said("comments", None, granted=op.kind == "yes")]
                await world.pipeline.consent(world.project, op.user, said, source="test")
            case "guest":
                await self.guest(op)

    async def tell(self, op: Op, users: Sequence[str]) -> Notification:
        more: dict[str, Any] = {"ttl": op.ttl, "post": f"p{op.number % 2}"}
        more |= {"urgency": "high"} if op.more == "urgent" else {}
        more |= {"content_key": f"same-{op.number % 3}"} if op.more == "same" else {}
        text = "{{ user.unknown.deep }}" if op.more == "wrong" else f"text {len(self.told)}"
        return await comment(self.world, text, *users, **more)

    async def leases(self, number: int, *, steps: bool) -> None:
        """A worker takes what is due and dies, or is so slow that another one does it too."""
        self.world.clock.advance(seconds=PASSES_S[number])
        slow = await self.world.due()
        self.world.clock.advance(seconds=16)
        await self.world.work()
        for lease in slow if steps else ():
            await self.world.pipeline.step(lease)

    async def guest(self, op: Op) -> None:
        """Somebody without a name is told something, and turns out to be one of them."""
        world = self.world
        self.guests += 1
        device, *_ = await world.pipeline.register_anonymous(world.project, subscription(f"guest-{self.guests}"))
        guest = await world.store.users.by_key(world.project.key, device.user)
        assert guest is not None
        self.told.append(await self.tell(op, (guest.user_id,)))
        world.clock.advance(seconds=PASSES_S[op.number])
        await world.pipeline.merge(world.project, guest, op.user)
        await world.work()


@given(ops, digests, caps, st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_is_in_one_digest_or_sent_by_itself_or_dropped_with_a_reason(
    ops: list[Op], digest: dict[str, Any], cap: tuple[Any, int] | None, quiet: bool
) -> None:
    asyncio.run(_tell(ops, digest, cap, quiet=quiet))


async def _tell(ops: list[Op], digest: dict[str, Any], cap: tuple[Any, int] | None, *, quiet: bool) -> None:
    clock = ManualClock()
    world = await World(MemoryStore(clock), clock, SeededChance(1)).begin()
    await digesting(world, *PEOPLE, **digest)
    message = {"category": "comments", "title": "T", "data": {"post": "p1", "author": "Bob"}}
    await world.define("automations", name="tell", on={"event": "commented"}, notification=message)
    if cap is not None:
        rule = Cap(name="some", limit=cap[1], per=Rolling(seconds=3600), at_cap=cap[0])
        await set_caps(world, rule)
    if quiet:
        [ada] = (await world.store.users.resolve(world.project.key, ["ada"], 0, create=False)).values()
        hours = PreferenceChange(quiet_hours=QuietHours(start="08:10", end="11:00"))
        await world.store.preferences.put(world.project.key, ada, hours, clock.now())
    teller = Teller(world)
    for op in ops:
        await teller.happen(op)
    for _ in range(80):
        await later(world, hours=1)
    assert await world.store.work.waiting() == {}
    await _check(world)


async def _check(world: World) -> None:
    project = world.project.key
    every = (await world.store.trail.notifications(project, None, 1000)).items
    digests = {one.id: one for one in every if one.digest_of}
    sent = Counter((out.ready.notification, out.address.address) for out in world.browser.sent)
    assert set(sent.values()) <= {1}, "nobody is told anything twice"
    told = Counter(notification for notification, _ in sent)
    within: Counter[tuple[str, str]] = Counter()
    for one in every:
        for decision in await world.decisions(one):
            assert verdict_of(decision.reason) is not Verdict.HOLD, decision
            assert (decision.digest_id is not None) == (decision.reason is Reason.IN_DIGEST)
            assert (told[one.key] > 0) or decision.reason is not Reason.SEND
            if decision.digest_id is not None:
                assert one.key in digests[decision.digest_id].digest_of
                within[decision.digest_id, decision.user_id] += 1
    for id, digest in digests.items():
        [decision] = await world.decisions(digest)
        assert decision.reason is Reason.SEND
        assert told[digest.key] > 0
        assert within[id, decision.user_id] == len(digest.digest_of) == digest.message.data["count"]


async def test_workers_side_by_side_make_one_digest_of_each(
    store: Store, clock: ManualClock, chance: SeededChance
) -> None:
    world = await World(store, clock, chance).begin()
    people = [f"u{number}" for number in range(20)]
    await digesting(world, *people, key="{{ data.post }}")
    for number in range(6):
        await comment(world, f"text {number}", *people, post=f"p{number % 2}")
    clock.advance(minutes=10)
    leases = await world.due()
    second = world.another_pipeline()
    await asyncio.gather(*((world.pipeline if at % 2 else second).step(lease) for at, lease in enumerate(leases)))
    await world.work()
    sent = Counter(out.address.address for out in world.browser.sent)
    assert sent == {f"https://push.example/{user}": 2 for user in people}
    assert {payload(out)["title"] for out in world.browser.sent} == {"3 new comments"}
    assert await store.work.waiting() == {}
