"""What does not matter any more is not sent, on every engine: conditions and events, looked at when it is sent."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.conditions import NOTHING_AROUND, Conditions
from clarion.model import Audience, Message, Notification, UnlessEvent, UserChange
from clarion.ports import BadCredentials, FactsQuery, Recipient, RetryAfter, Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support import event, new_project, new_users
from story.world import World

HOUR = 3_600_000
REMINDER = {"name": "reminder", "on": {"event": "invoice"}, "enabled": True}


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    return await World(store, clock, chance).begin()


async def person(world: World, user_id: str, **attributes: object) -> None:
    await world.subscribe(user_id)
    await world.store.users.put(world.project.key, user_id, UserChange(attributes=attributes), world.clock.now())


async def everything(world: World, user_id: str) -> list[str]:
    """The reasons of all decisions about a person."""
    user = await world.store.users.get(world.project.key, user_id)
    assert user is not None
    page = await world.store.trail.decisions(
        world.project.key, notification=None, user=user.key, reason=None, cursor=None, limit=100
    )
    return sorted(str(one.reason) for one in page.items)


async def said(world: World, notification: Notification) -> dict[str, str]:
    """What the gate said of each person."""
    return {one.user_id: one.gates for one in await world.decisions(notification)}


async def test_a_reminder_is_not_sent_after_the_payment(world: World) -> None:
    for name in ("ada", "bob", "cleo"):
        await world.subscribe(name)
    await world.happens("cleo", "paid", order="A-17")  # before: of another time
    world.clock.advance(1)
    paid = UnlessEvent(name="paid", where={"order": "{{ data.order }}"})
    due = world.clock.now() + HOUR
    reminder = await world.notify("ada", "bob", "cleo", send_at=due, unless_event=paid, data={"order": "A-17"})
    await world.work()
    world.clock.advance(minutes=30)
    await world.happens("ada", "paid", order="A-17")
    await world.happens("bob", "paid", order="B-1")  # another one
    world.clock.advance(minutes=30)
    await world.work()
    assert await world.reasons(reminder) == {"ada": "irrelevant", "bob": "send", "cleo": "send"}
    assert '["condition","drop","paid has happened since"]' in (await said(world, reminder))["ada"]
    assert '["condition","pass","no paid since"]' in (await said(world, reminder))["bob"]
    assert len(world.browser.sent) == 2


async def test_a_condition_that_flips_while_held_counts(world: World) -> None:
    await person(world, "ada", plan="free")
    await person(world, "bob", plan="free")
    offer = await world.notify("ada", "bob", send_at=world.clock.now() + HOUR, condition="user.plan == 'free'")
    await world.work()
    await world.store.users.put(world.project.key, "bob", UserChange(attributes={"plan": "gold"}), world.clock.now())
    world.clock.advance(hours=1)
    await world.work()
    assert await world.reasons(offer) == {"ada": "send", "bob": "irrelevant"}
    assert '["condition","drop","the condition is false"]' in (await said(world, offer))["bob"]


async def test_an_automation_looks_at_what_came_after_its_own_event(world: World) -> None:
    await world.define("categories", name="news")
    unless = {"name": "invoice", "where": {"number": "{{ event.number }}", "paid": True}}
    await world.define("automations", **REMINDER, notification={"title": "Hello", "unless_event": unless})
    for name in ("ada", "bob"):
        await world.subscribe(name)
    # The event that starts it is none that came after it; one that came before it was worked on is.
    await world.happens("ada", "invoice", number=7, paid=True)
    await world.work()
    assert await everything(world, "ada") == ["send"]
    await world.happens("bob", "invoice", number=8)
    await world.happens("bob", "invoice", number=8, paid=True)
    await world.work()
    assert await everything(world, "bob") == ["irrelevant", "send"]


@pytest.mark.parametrize("answer", [RetryAfter(seconds=60), BadCredentials("no")])
async def test_what_waits_for_a_push_service_gets_a_last_look(world: World, answer: object) -> None:
    for name in ("ada", "bob"):
        await person(world, name, paid=False)
    world.browser.then(answer, answer)  # type: ignore[arg-type]
    unless = UnlessEvent(name="paid")
    reminder = await world.notify("ada", "bob", unless_event=unless, condition="not user.paid", ttl=86_400)
    await world.work()
    asked = len(world.browser.sent)
    await world.happens("ada", "paid")
    world.clock.advance(hours=2)
    await world.work()
    again = {message.address.user for message in world.browser.sent[asked:]}
    assert len(again) == 1
    states = {one.user_id: str(one.reason) for one in await world.deliveries(reminder)}
    assert states == {"ada": "irrelevant", "bob": "None"}


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("true", "send"),
        ("user.age >= 18 and 'shop' in user.tags", "send"),
        ("user.nothing is not defined", "send"),
        ("user.nothing", "irrelevant"),
        ("not user.nothing", "irrelevant"),
        ("user.age < 18", "irrelevant"),
        ("user.tags < 18 and user.tags.x.y", "irrelevant"),
        ("range(user.age * 500)|map('string')|join|length > 0 and range(90000)|join", "irrelevant"),
        ("data.left > 0 and user.user_id == 'ada' and project.name == 'Shop'", "send"),
    ],
)
async def test_what_cannot_be_told_is_not_sent(clock: ManualClock, condition: str, reason: str) -> None:
    world = await World(MemoryStore(clock), clock, SeededChance()).begin()
    await person(world, "ada", age=40, tags=["shop"])
    notification = await world.notify("ada", condition=condition, data={"left": 2})
    await world.work()
    assert await world.reasons(notification) == {"ada": reason}
    if "nothing" in condition and reason == "irrelevant":
        assert "not to be told: undefined value" in (await said(world, notification))["ada"]


async def test_a_mandatory_message_is_never_irrelevant(world: World) -> None:
    await world.define("categories", **{"name": "security", "class": "mandatory"})
    await world.subscribe("ada")
    notification = await world.notify(
        "ada",
        category="security",
        condition="false",
        unless_event=UnlessEvent(name="paid"),
        send_at=world.clock.now() + HOUR,
    )
    await world.work()
    await world.happens("ada", "paid")
    world.clock.advance(hours=1)
    await world.work()
    assert await world.reasons(notification) == {"ada": "send"}
    assert '["condition","pass","mandatory"]' in (await said(world, notification))["ada"]


async def test_facts_have_the_events_that_are_asked_for(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    first, second = await new_users(store, project, 2)
    ids = await store.users.ids(project.key, [first, second])
    now = 1_000_000
    told = [
        event(ids[first], "paid", occurred_at=now - 1),
        event(ids[first], "paid", occurred_at=now, properties={"order": "A"}),
        event(ids[second], "paid", occurred_at=now + 5),
        event(ids[second], "opened", occurred_at=now + 5),
    ]
    await store.events.add(project.key, told, frozenset(), now)
    await store.events.add(other.key, [event(ids[first], "paid", occurred_at=now)], frozenset(), now)
    for query in (FactsQuery(users=[first, second]), FactsQuery(span=(first, second))):
        asked = msgspec.structs.replace(query, events=["paid"], events_since=now)
        events = (await store.steps.facts(project.key, asked)).events
        assert {whose: [one.at for one in each] for whose, each in events.items()} == {
            (first, "paid"): [now],
            (second, "paid"): [now + 5],
        }
        assert msgspec.json.decode(events[first, "paid"][0].properties) == {"order": "A"}
        assert (await store.steps.facts(project.key, query)).events == {}


async def test_a_dry_run_looks_at_conditions_too(world: World) -> None:
    await person(world, "ada", plan="free")
    await person(world, "bob", plan="gold")
    message = Message(title="Hi", condition="user.plan == 'free'")
    trial = await world.pipeline.dry_run(world.project, message, Audience(everyone=True))
    assert trial.counts == {"send": 1, "irrelevant": 1}


_VALUES = st.sampled_from([None, True, False, 0, 1, 1.0, "1", "", "gold", ["gold"], {"gold": 1}])
_CONDITIONS = st.sampled_from(
    [
        "user.plan == 'gold'",
        "user.plan == 1",
        "user.plan is true",
        "user.plan is defined and user.plan",
        "user.plan and user.city == 'gold'",
        "user.plan.gold == 1",
        "user['plan'] == user.city",
        "'gold' in user|list and user.plan",
        "user.plan == 'gold' or user.locale == 'de'",
        "user.plan == 1 and user.user_id != 'p0'",
    ]
)


@given(_CONDITIONS, st.lists(st.dictionaries(st.sampled_from(["plan", "city"]), _VALUES), min_size=2, max_size=8))
def test_who_is_asked_before_changes_nothing(condition: str, crowd: list[dict[str, object]]) -> None:
    message = Message(category="general", title="Hello", body="You", condition=condition)
    notification = Notification(key=1, id="n", project=1, message=message, to=Audience(everyone=True), created_at=0)
    people = [
        Recipient(key, f"p{key}", "de" if key % 3 else None, None, msgspec.json.encode(attributes), [], {})
        for key, attributes in enumerate(crowd)
    ]
    together = Conditions(notification, NOTHING_AROUND)
    for one in people:
        assert together.ruling(one, {}) == Conditions(notification, NOTHING_AROUND).ruling(one, {})
