"""What was sent is replaced on the screens where it stands, or taken from them; and what waits still is never shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from clarion.errors import Conflict, InvalidRequest
from clarion.journey.permission import Said
from clarion.model import (
    Audience,
    Cap,
    DeliveryState,
    Message,
    Notification,
    Outcome,
    QuietHours,
    ReceiptKind,
    Rolling,
    delivery_id,
)
from clarion.ports import Accepted, Effects, Outgoing, Ready, RetryAfter, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World, payload

HOUR_MS = 3_600_000
PATIENCE_MS = 40_000
"""Past the looks that an update takes at what was under way."""


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    world = await World(store, clock, chance).begin()
    await world.define("categories", name="orders", **{"class": "informational"})
    return world


async def sent(world: World, *users: str, **message: Any) -> Notification:
    """A notification that has reached its people."""
    for user in users:
        await world.subscribe(user)
    told = {"title": "On its way", "body": "10 stops away", "category": "orders"} | message
    notification = await world.notify(*users, **told)
    await world.work()
    return notification


async def settle(world: World) -> list[Outgoing]:
    """All that is to come within the minute; what left meanwhile."""
    before = len(world.browser.sent)
    for _ in range(8):
        await world.work()
        world.clock.advance(PATIENCE_MS // 8)
    await world.work()
    return world.browser.sent[before:]


async def replaced(world: World, notification: Notification, **changes: Any) -> list[Outgoing]:
    renotify = changes.pop("renotify", False)
    await world.pipeline.updating.replace(world.project, notification.id, changes, renotify=renotify)
    return await settle(world)


def bodies(messages: list[Outgoing]) -> list[str]:
    return sorted(payload(message)["body"] for message in messages)


def first_places(notification: Notification, messages: list[Outgoing]) -> list[str]:
    return [delivery_id(notification.id, message.ready.device).hex() for message in messages]


async def test_new_words_take_the_place_of_the_old(world: World) -> None:
    first = await sent(world, "ada", "bob")
    [one, other] = updates = await replaced(world, first, body="3 stops away")
    assert bodies(updates) == ["3 stops away"] * 2
    assert [payload(each)["title"] for each in updates] == ["On its way"] * 2, "what is not given stays"
    assert [payload(each)["tag"] for each in updates] == first_places(first, updates)
    assert [each.ready.place.hex() for each in updates if each.ready.place] == first_places(first, updates)
    assert all(payload(each)["update"] == "replace" and "renotify" not in payload(each) for each in updates)
    assert {payload(one)["id"], payload(other)["id"]}.isdisjoint(first_places(first, updates)), "receipts of its own"
    await world.device_tells(one, ReceiptKind.DISPLAYED)

    # A second one, named by whichever of them: in the same place, and only once.
    again = await replaced(world, first, body="1 stop away", renotify=True)
    assert [payload(each)["tag"] for each in again] == first_places(first, again)
    assert all(payload(each)["renotify"] is True for each in again)
    newest = (await world.store.trail.notification(world.project.key, first.id)).updated_by  # type: ignore[union-attr]
    [(_, latest)] = (await world.store.trail.load(world.project.key, [newest or 0])).items()
    last = await replaced(world, latest, body="It is there")
    assert [payload(each)["tag"] for each in last] == first_places(first, last)
    assert len(world.browser.sent) == 8


async def test_a_collapse_key_is_the_place(world: World) -> None:
    first = await sent(world, "ada", collapse_key="order-A-17")
    [update] = await replaced(world, first, body="3 stops away")
    assert (payload(update)["tag"], update.ready.collapse_key) == ("order-A-17", "order-A-17")


@pytest.mark.parametrize("answer", [ReceiptKind.DISMISSED, ReceiptKind.CLICKED])
async def test_who_has_answered_is_left_alone_on_that_device(world: World, answer: ReceiptKind) -> None:
    first = await sent(world, "ada", "bob")
    second = await world.subscribe("bob", "bob-at-work")
    [ada, bob] = world.browser.sent
    await world.device_tells(ada, ReceiptKind.DISPLAYED, answer)
    update = await replaced(world, first, body="3 stops away")
    assert [each.ready.device for each in update] == [bob.ready.device], "a device that came later never had it"
    assert second.key != bob.ready.device
    await world.device_tells(update[0], answer)
    assert await replaced(world, first, body="1 stop away") == []
    await world.pipeline.updating.withdraw(world.project, first.id)
    assert await settle(world) == []


async def test_a_no_since_then_counts_and_a_withdrawal_reaches_everybody(world: World) -> None:
    first = await sent(world, "ada", "bob")
    await world.pipeline.consent(world.project, "ada", [Said("orders", None, granted=False)], source="page")
    made = await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"})
    assert len(await settle(world)) == 1
    assert await world.reasons(made) == {"ada": "opted_out", "bob": "send"}

    gone = await world.pipeline.updating.withdraw(world.project, first.id)
    closing = await settle(world)
    assert [payload(each)["update"] for each in closing] == ["withdraw"] * 2
    assert [payload(each)["tag"] for each in closing] == first_places(first, closing)
    assert all(payload(each)["title"] == payload(each)["body"] == "" for each in closing)
    assert await world.reasons(gone) == {"ada": "send", "bob": "send"}
    assert (await world.pipeline.updating.withdraw(world.project, first.id)).id == gone.id, "once, however often"
    assert await settle(world) == []
    with pytest.raises(Conflict, match="was withdrawn"):
        await world.pipeline.updating.replace(world.project, first.id, {"body": "It is there"})


async def test_it_takes_no_second_place_under_caps_and_is_not_held_at_night(world: World) -> None:
    await configure(world, caps=[Cap(name="one a day", limit=1, per=Rolling(seconds=86_400))])
    first = await sent(world, "ada", ttl=14 * 86_400)
    await configure(world, quiet_hours=QuietHours(start="00:00", end="23:59"))
    assert bodies(await replaced(world, first, body="3 stops away")) == ["3 stops away"]
    assert await replaced(world, first, body="1 stop away", renotify=True) == [], "a sound is for the morning"
    await configure(world, quiet_hours=None)
    assert await world.reasons(another := await world.notify("ada", category="orders")) == {}
    await settle(world)
    assert await world.reasons(another) == {"ada": "cap_reached"}, "the first one has the only place"


async def configure(world: World, **changes: Any) -> None:
    changed = msgspec.structs.replace(world.project.settings, **changes)
    world.project = msgspec.structs.replace(world.project, settings=changed)
    await world.store.projects.update(world.project)
    await world.catalog.changed()


async def test_who_waits_still_gets_the_newest_words_alone(world: World) -> None:
    for user in ("ada", "bob"):
        await world.subscribe(user)
    at = world.clock.now() + HOUR_MS
    first = await world.notify("ada", "bob", body="10 stops away", category="orders", send_at=at)
    await world.work()
    for body in ("7 stops away", "3 stops away"):
        assert await replaced(world, first, body=body) == [], "nobody had the first one, and its hour has not come"
    world.clock.advance(HOUR_MS)
    assert bodies(await settle(world)) == ["3 stops away"] * 2
    assert await world.reasons(first) == {"ada": "superseded", "bob": "superseded"}


async def test_what_its_push_service_did_not_take_yet_is_superseded(world: World) -> None:
    world.browser.otherwise = RetryAfter(seconds=60)
    first = await sent(world, "ada")
    world.browser.otherwise = Accepted()
    [update] = await replaced(world, first, body="3 stops away")
    assert "update" not in payload(update), "there is nothing on the screen: it comes as a first one, with its sound"
    world.clock.advance(HOUR_MS)
    assert await settle(world) == []
    [old] = await world.deliveries(first)
    assert (old.state, old.reason) == (DeliveryState.FAILED, "superseded")


async def test_what_waits_when_it_is_withdrawn_never_leaves(world: World) -> None:
    world.browser.then(Accepted())
    world.browser.otherwise = RetryAfter(seconds=60)
    first = await sent(world, "ada", "bob")
    [had_it] = [each for each in await world.deliveries(first) if each.state is DeliveryState.ACCEPTED]
    world.browser.otherwise = Accepted()
    await world.pipeline.updating.withdraw(world.project, first.id)
    [closing] = await settle(world)
    assert (closing.ready.device, payload(closing)["update"]) == (had_it.device, "withdraw")
    world.clock.advance(HOUR_MS)
    assert await settle(world) == []


async def test_a_withdrawal_ends_updates_that_wait_for_hours(world: World) -> None:
    first = await sent(world, "ada")
    world.browser.then(RetryAfter(seconds=7_200))
    waits = await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"})
    await world.work()
    await world.pipeline.updating.withdraw(world.project, first.id)
    await world.work()
    [ended] = await world.deliveries(waits)
    assert (ended.state, ended.reason) == (DeliveryState.FAILED, "superseded")
    await settle(world)
    assert payload(world.browser.sent[-1])["update"] == "withdraw"


async def test_an_update_that_is_late_does_not_overtake_a_newer_one(world: World) -> None:
    first = await sent(world, "ada")
    world.browser.then(RetryAfter(seconds=300))
    late = await world.pipeline.updating.replace(world.project, first.id, {"body": "7 stops away"})
    await world.work()
    assert bodies(await replaced(world, first, body="3 stops away")) == ["3 stops away"]
    world.clock.advance(HOUR_MS)
    assert await settle(world) == []
    [lost] = await world.deliveries(late)
    assert lost.reason == "superseded"


async def test_a_message_in_flight_is_taken_back_too(world: World) -> None:
    await world.subscribe("ada")
    first = await world.notify("ada", category="orders")
    [job] = await world.due()
    await world.pipeline.step(job)
    [flying] = await world.due()  # a worker has the composed message in hand
    await world.pipeline.updating.withdraw(world.project, first.id)
    await world.work()
    assert world.browser.sent == []
    # Its last look was before the withdrawal: this is what it would have written.
    await _leaves(world, flying)
    [closing] = await settle(world)
    assert payload(closing)["update"] == "withdraw"


async def _leaves(world: World, flying: Any) -> None:
    outcomes = [_accepted(ready) for ready in flying.job.messages]
    assert await world.store.steps.commit(Effects(outcomes=outcomes), flying)


def _accepted(ready: Ready) -> Outcome:
    return Outcome(ready.notification, ready.user, ready.device, DeliveryState.ACCEPTED, None, None, 1)


async def test_a_template_is_filled_in_anew(world: World) -> None:
    content = {"title": "Order {{ data.id }}", "body": "{{ data.stops }} stops away, {{ user.user_id }}"}
    await world.define("templates", version=1, name="stops", locales={"en": content})
    first = await sent(world, "ada", title=None, body=None, template="stops", data={"id": "A", "stops": 10})
    [update] = await replaced(world, first, data={"id": "A", "stops": 3})
    assert payload(update)["body"] == "3 stops away, ada"
    with pytest.raises(InvalidRequest, match="there is no template other"):
        await world.pipeline.updating.replace(world.project, first.id, {"template": "other"})


async def test_what_is_armed_cannot_be_replaced_and_can_be_once_it_is_fired(world: World) -> None:
    await world.subscribe("ada")
    message = Message(title="Goal!", category="orders")
    armed = await world.pipeline.notify(world.project, message, Audience(everyone=True), arm=True)
    await world.work()
    with pytest.raises(Conflict, match="is armed"):
        await world.pipeline.updating.replace(world.project, armed.id, {"title": "No goal"})
    await world.pipeline.fire(world.project, armed.id)
    await world.work()
    [update] = await replaced(world, armed, title="No goal")
    assert (payload(update)["title"], payload(update)["update"]) == ("No goal", "replace")


async def test_what_is_fired_and_replaced_before_it_leaves_goes_in_the_new_words_only(world: World) -> None:
    for user in ("ada", "bob"):
        await world.subscribe(user)
    world.clock.advance(HOUR_MS)  # who changed just before it was armed is decided anew
    message = Message(title="Goal!", category="orders")
    armed = await world.pipeline.notify(world.project, message, Audience(everyone=True), arm=True)
    await world.work()
    await world.pipeline.fire(world.project, armed.id)
    messages = await replaced(world, armed, title="No goal")
    assert [payload(each)["title"] for each in messages] == ["No goal"] * 2
    assert [payload(each)["tag"] for each in messages] == first_places(armed, messages)


async def test_what_waits_for_another_try_after_its_fire_is_replaced_too(world: World) -> None:
    await world.subscribe("ada")
    world.clock.advance(HOUR_MS)
    message = Message(title="Goal!", category="orders")
    armed = await world.pipeline.notify(world.project, message, Audience(everyone=True), arm=True)
    await world.work()
    world.browser.then(RetryAfter(seconds=600))
    await world.pipeline.fire(world.project, armed.id)
    await world.work()
    tried = len(world.browser.sent)
    await replaced(world, armed, title="No goal")
    world.clock.advance(HOUR_MS)
    await settle(world)
    assert [payload(each)["title"] for each in world.browser.sent[tried:]] == ["No goal"]


async def test_the_story_tells_of_it(world: World) -> None:
    first = await sent(world, "ada")
    update = await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"})
    await settle(world)
    await world.pipeline.updating.withdraw(world.project, first.id)
    [closing] = await settle(world)
    await world.device_tells(closing, ReceiptKind.DELIVERED)
    told = [chapter.what for chapter in await world.pipeline.story(world.project, "ada")]
    assert f"Decided to send, in the place of {first.id}" in told
    assert f"Decided to withdraw {first.id}" in told
    assert "The device tells: delivered, and has closed it" in told
    [chapter] = [c for c in await world.pipeline.story(world.project, "ada", update.id) if c.stage == "decide"]
    assert chapter.detail["update"] == {"kind": "replace", "notification_id": first.id}


async def test_a_withdrawal_comes_after_what_is_in_flight_to_the_same_person(world: World) -> None:
    await world.subscribe("ada")
    at_work = await world.subscribe("ada", "ada-at-work")
    first = await world.notify("ada", category="orders")
    [job] = await world.due()
    await world.pipeline.step(job)
    [flying] = await world.due()
    here, there = flying.job.messages
    outcomes = [_accepted(here)]
    assert await world.store.steps.commit(Effects(outcomes=outcomes))
    await world.pipeline.updating.withdraw(world.project, first.id)
    await world.work()
    assert world.browser.sent == [], "one of two is still to come"
    await _leaves(world, flying)
    assert there.device == at_work.key
    assert len(await settle(world)) == 2


async def test_who_was_being_decided_when_it_was_replaced_is_found_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribe("ada")
    first = await world.notify("ada", body="10 stops away", category="orders")
    [job] = await world.due()
    deciding = world.store.steps.deciding

    @asynccontextmanager
    async def late(*asked: Any) -> AsyncIterator[Any]:
        """The step has read that nothing replaces it; then something does, and looks for who has it."""
        monkeypatch.setattr(world.store.steps, "deciding", deciding)
        await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"})
        await world.work()
        async with deciding(*asked) as found:
            yield found

    monkeypatch.setattr(world.store.steps, "deciding", late)
    await world.pipeline.step(job)
    assert bodies(await settle(world)) == ["3 stops away"]


async def test_who_puts_it_away_before_the_update_is_decided_is_no_candidate(world: World) -> None:
    first = await sent(world, "ada")
    made = await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"})
    [look] = await world.due()
    await world.pipeline.step(look)
    await world.device_tells(world.browser.sent[0], ReceiptKind.DISMISSED)
    assert await settle(world) == []
    assert await world.reasons(made) == {}
