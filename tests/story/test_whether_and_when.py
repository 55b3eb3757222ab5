"""Stories of what is not sent, not yet sent, or taken back in time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.errors import InvalidRequest
from clarion.journey.permission import Said
from clarion.journey.rules.consent import Consent
from clarion.model import (
    Audience,
    Category,
    CategoryClass,
    Channel,
    DeliveryState,
    Message,
    ProjectSettings,
    Reason,
    UserChange,
)
from clarion.ports import Recipient, RetryAfter
from story.world import World, subscription


async def test_a_scheduled_message_is_held_until_its_time(world: World) -> None:
    await world.subscribe("ada")
    hour = world.clock.now() + 3_600_000
    notification = await world.notify("ada", send_at=hour)
    await world.work()
    [held] = await world.decisions(notification)
    assert (held.reason, held.until) == ("schedule", hour)
    world.clock.advance(minutes=59)
    await world.work()
    assert world.browser.sent == []
    world.clock.advance(minutes=1)
    await world.work()
    [final] = await world.decisions(notification)
    assert (final.reason, final.revision > held.revision) == ("send", True)
    assert len(world.browser.sent) == 1


async def test_cancelling_drops_what_is_scheduled(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada", send_at=world.clock.now() + 3_600_000)
    await world.work()
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert await world.reasons(notification) == {"ada": "cancelled"}
    world.clock.advance(hours=2)
    assert await world.work() == 0
    assert world.browser.sent == []


async def test_cancelling_drops_a_large_audience_that_was_never_cut(world: World) -> None:
    for name in ("ada", "bob"):
        await world.subscribe(name)
    notification = await world.pipeline.notify(
        world.project, Message(title="Hi"), Audience(everyone=True), send_at=world.clock.now() + 3_600_000
    )
    await world.work()
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert await world.reasons(notification) == {"ada": "cancelled", "bob": "cancelled"}


async def test_cancelling_reaches_what_waits_for_another_attempt(world: World) -> None:
    await world.subscribe("ada")
    world.browser.then(RetryAfter(seconds=60))
    notification = await world.notify("ada")
    await world.work()
    await world.pipeline.cancel(world.project, notification.id)
    world.clock.advance(minutes=2)
    await world.work()
    assert len(world.browser.sent) == 1
    assert [(one.state, one.reason) for one in await world.deliveries(notification)] == [
        (DeliveryState.FAILED, "cancelled")
    ]


async def test_an_opt_out_after_the_decision_still_counts(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada")
    [lease] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    await world.pipeline.step(lease)
    world.clock.advance(1)
    await world.pipeline.consent(world.project, "ada", [Said("general", Channel.PUSH, granted=False)], source="test")
    await world.work()
    assert world.browser.sent == []
    assert await world.reasons(notification) == {"ada": "opted_out"}


async def test_a_late_message_expires_instead_of_arriving_stale(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada", ttl=60)
    world.clock.advance(minutes=2)
    await world.work()
    assert await world.reasons(notification) == {"ada": "expired"}


async def test_a_message_for_now_or_never_is_sent_at_once(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada", ttl=0)
    world.clock.advance(20)
    await world.work()
    assert await world.states(notification) == [DeliveryState.ACCEPTED]


async def test_a_crash_between_steps_sends_nothing_twice(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada")
    [lost] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    world.clock.advance(seconds=16)
    await world.work()
    # The first worker was only slow: it wakes up and finishes what is not its own any more.
    await world.pipeline.step(lost)
    await world.work()
    assert len(world.browser.sent) == 1
    assert await world.reasons(notification) == {"ada": "send"}


async def test_an_anonymous_browser_becomes_the_person_and_a_refusal_stays(world: World) -> None:
    device, created, token = await world.pipeline.register_anonymous(world.project, subscription("laptop"))
    assert created
    claim = world.anonymous.read(token)
    assert claim is not None
    anonymous = await world.store.users.by_key(world.project.key, claim.user)
    assert anonymous is not None
    await world.pipeline.consent(
        world.project, anonymous.user_id, [Said("general", Channel.PUSH, granted=False)], source="sdk_prompt"
    )
    await world.pipeline.consent(world.project, "ada", [Said("general", Channel.PUSH, granted=True)], source="api")
    await world.pipeline.merge(world.project, anonymous, "ada")
    found = await world.store.devices.get(world.project.key, device.id)
    assert found is not None
    assert found.user_id == "ada"
    notification = await world.notify("ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out"}


async def test_what_was_scheduled_for_an_anonymous_browser_reaches_the_person_it_became(world: World) -> None:
    device, _, token = await world.pipeline.register_anonymous(world.project, subscription("laptop"))
    claim = world.anonymous.read(token)
    assert claim is not None
    notification = await world.notify(device.user_id, send_at=world.clock.now() + 60_000)
    await world.work()
    anonymous = await world.store.users.by_key(world.project.key, claim.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "ada")
    world.clock.advance(minutes=2)
    await world.work()
    assert len(world.browser.sent) == 1
    assert await world.reasons(notification) == {"ada": "send"}


async def test_a_merge_between_decision_and_delivery_does_not_stop_the_message(world: World) -> None:
    device, _, token = await world.pipeline.register_anonymous(world.project, subscription("laptop"))
    notification = await world.notify(device.user_id)
    [lease] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    await world.pipeline.step(lease)
    claim = world.anonymous.read(token)
    assert claim is not None
    anonymous = await world.store.users.by_key(world.project.key, claim.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "ada")
    await world.work()
    assert await world.states(notification) == [DeliveryState.ACCEPTED]


async def test_a_device_that_went_to_somebody_else_does_not_show_what_was_meant_for_another(world: World) -> None:
    await world.subscribe("ada", "shared laptop")
    notification = await world.notify("ada")
    [lease] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    await world.pipeline.step(lease)
    await world.subscribe("bob", "shared laptop")
    await world.work()
    assert world.browser.sent == []
    assert [one.reason for one in await world.deliveries(notification)] == ["device_gone"]


async def test_however_many_devices_are_named_each_gets_its_message(world: World) -> None:
    devices = [await world.subscribe(f"user-{number}") for number in range(1_001)]
    notification = await world.pipeline.notify(
        world.project, Message(title="Hi"), Audience(devices=[device.id for device in devices])
    )
    await world.work()
    assert set((await world.reasons(notification)).values()) == {"send"}
    assert len(world.browser.sent) == 1_001


async def test_only_an_anonymous_person_merges(world: World) -> None:
    await world.subscribe("ada")
    ada = await world.store.users.get(world.project.key, "ada")
    assert ada is not None
    with pytest.raises(InvalidRequest):
        await world.pipeline.merge(world.project, ada, "bob")


async def test_a_dry_run_tells_all_and_does_nothing(world: World) -> None:
    await world.subscribe("ada")
    run = await world.pipeline.dry_run(world.project, Message(title="Hi"), Audience(users=["ada", "stranger"]))
    assert run.counts == {"send": 1, "no_device": 1}
    assert await world.work() == 0
    assert world.browser.sent == []
    assert await world.store.users.get(world.project.key, "stranger") is None


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("for you", {"send": 4}),
        ("for {{ project.name }}", {"send": 4}),
        ("x" * 3800, {"too_large": 4}),
        ("{{ data.half }}" * 2, {"too_large": 4}),
        ("{{ user.note }}", {"send": 2, "too_large": 1, "template_error": 1}),
    ],
)
async def test_a_dry_run_tells_of_each_text_what_becomes_of_it(world: World, body: str, counts: dict[str, int]) -> None:
    notes = {"ada": {"note": "hello"}, "bob": {"note": "x" * 3800}, "eve": {}, "zoe": {"note": "hi"}}
    for name, attributes in notes.items():
        await world.subscribe(name)
        await world.store.users.put(world.project.key, name, UserChange(attributes=attributes), world.clock.now())
    message = Message(title="News", body=body, data={"half": "x" * 1500})
    run = await world.pipeline.dry_run(world.project, message, Audience(everyone=True))
    assert run.counts == counts
    notification = await world.notify(*notes, title="News", body=body, data=message.data)
    await world.work()
    foreseen = {one.user_id: [str(one.reason), one.gates] for one in run.decisions}
    came = await world.decisions(notification)
    assert foreseen == {one.user_id: [str(one.reason), json.loads(one.gates)] for one in came}


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ({"title": "{{ data.missing }}"}, ["title"]),
        ({"title": "{{ user.name"}, ["title"]),
        ({"title": "x", "body": "{{ 1 | nofilter }}"}, ["body"]),
        ({"title": "x", "actions": [{"id": "a", "title": "{{ data.no }}"}]}, ["actions[0].title"]),
        ({"title": None}, ["title"]),
        ({"title": "x", "category": "nope"}, ["category"]),
        ({"title": "x", "template": "nope"}, ["template"]),
        ({"title": "{% for i in range(100000) %}x{% endfor %}", "body": "{{ data.no }}"}, ["title", "body"]),
        ({"title": "{% for i in range(10000000) %}x{% endfor %}", "body": "{{ 1 / 0 }}"}, ["title", "body"]),
        ({"title": "x", "image": "{{ data.picture }}", "data": {"picture": "javascript:x()"}}, ["image"]),
        ({"title": "x", "actions": [{"id": "a", "title": "A", "icon": "{{ data.no }}"}]}, ["actions[0].icon"]),
    ],
)
async def test_a_message_that_fits_nobody_is_refused_by_its_fields(world: World, message: dict, fields: list) -> None:
    import msgspec  # noqa: PLC0415

    with pytest.raises(InvalidRequest) as refused:
        await world.pipeline.notify(world.project, msgspec.convert(message, Message), Audience(users=["ada"]))
    assert [error.field for error in refused.value.errors] == fields


async def test_texts_about_what_is_only_known_later_are_accepted(world: World) -> None:
    await world.notify("ada", title="{{ user.first_name | upper }}, {{ user.points + 1 }} points", body="{{ now }}")


categories = st.builds(
    Category,
    name=st.just("c"),
    class_=st.sampled_from(CategoryClass),
    default=st.sampled_from([None, True, False]),
)
laws = st.builds(
    ProjectSettings,
    marketing_consent=st.sampled_from(["opt_in", "opt_out"]),
    mandatory_can_be_switched_off=st.booleans(),
)


@given(category=categories, settings=laws, word=st.sampled_from([None, True, False]))
def test_a_no_counts_unless_the_switch_is_locked_and_a_yes_always(
    category: Category, settings: ProjectSettings, word: bool | None
) -> None:
    consents = {} if word is None else {("c", "push"): word}
    recipient = Recipient(1, "ada", None, None, "{}", [], consents)
    reason = Consent(category, Channel.PUSH, settings, now=0)(recipient).reason
    mandatory = category.class_ is CategoryClass.MANDATORY
    locked = mandatory and not settings.mandatory_can_be_switched_off
    if word is False and not locked:
        assert reason is Reason.OPTED_OUT
    elif word is True or mandatory:
        assert reason is None
    elif category.class_ is CategoryClass.MARKETING and category.default is None:
        assert (reason is None) == (settings.marketing_consent == "opt_out")
    else:
        assert (reason is None) == (category.default is not False)


async def test_answers_given_together_are_kept_all_or_none(world: World) -> None:
    said = [Said("general", None, granted=False), Said("nope", None, granted=True)]
    with pytest.raises(InvalidRequest):
        await world.pipeline.consent(world.project, "ada", said, source="test")
    assert await world.store.users.get(world.project.key, "ada") is None
    await world.define("categories", name="offers", channels=["push"], **{"class": "marketing"})
    said[1] = Said("offers", Channel.PUSH, granted=True)
    await world.pipeline.consent(world.project, "ada", said, source="test", wording="Shall we?")
    ada = await world.store.users.get(world.project.key, "ada")
    assert ada is not None
    ledger = await world.store.consents.of_user(world.project.key, ada.key)
    assert {(line.category, line.granted, line.wording) for line in ledger} == {
        ("general", False, "Shall we?"),
        ("offers", True, "Shall we?"),
    }
