"""What deciding needs to know, loaded a batch at a time."""

import msgspec

from clarion.model import Channel, DeviceKind, DeviceState, DeviceVerdict, Permission, UserChange
from clarion.ports import Effects, FactsQuery, Store, Target
from contract.support import (
    NOW,
    consent,
    facts_query,
    new_denied_device,
    new_project,
    new_user,
    new_users,
    register,
)


async def test_a_recipient_has_what_deciding_and_composing_need(store: Store) -> None:
    project = await new_project(store)
    change = UserChange(attributes={"name": "Zoë"}, locale="de", timezone="Europe/Berlin")
    user, _ = await store.users.put(project.key, "u1", change, NOW)
    device = await register(store, project, user.key, locale="fr")
    facts = await store.steps.facts(project.key, facts_query([user.key]))
    [recipient] = facts.recipients
    assert (recipient.key, recipient.user_id) == (user.key, "u1")
    assert (recipient.locale, recipient.timezone) == ("de", "Europe/Berlin")
    assert msgspec.json.decode(recipient.attributes) == {"name": "Zoë"}
    assert recipient.targets == [Target(device.key, DeviceKind.WEBPUSH, Permission.GRANTED, "fr")]
    assert recipient.consents == {}
    assert facts.sent_content == {}


async def test_a_user_without_anything_is_a_recipient_too(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    [recipient] = (await store.steps.facts(project.key, facts_query([user], categories=["c"], content=[1]))).recipients
    assert (recipient.targets, recipient.consents) == ([], {})
    assert msgspec.json.decode(recipient.attributes) == {}


async def test_recipients_come_in_key_order_without_those_who_are_gone(store: Store) -> None:
    project = await new_project(store)
    keys = await store.users.resolve(project.key, ["a", "b", "c", "d"], NOW, create=True)
    await store.users.erase(project.key, "b")
    facts = await store.steps.facts(project.key, facts_query([*keys.values(), 999_999]))
    assert [recipient.key for recipient in facts.recipients] == sorted(keys[id] for id in "acd")


async def test_a_span_holds_both_its_ends(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 6)
    facts = await store.steps.facts(project.key, FactsQuery(span=(users[1], users[4])))
    assert [recipient.key for recipient in facts.recipients] == users[1:5]


async def test_targets_are_the_active_devices_also_those_that_said_no(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    good = await register(store, project, user)
    denied = await new_denied_device(store, project, user)
    retired = await register(store, project, user, "https://push.example/retired")
    verdict = DeviceVerdict(retired.key, DeviceState.RETIRED, "410", NOW)
    await store.steps.commit(Effects(device_verdicts=[verdict]))
    [recipient] = (await store.steps.facts(project.key, facts_query([user]))).recipients
    assert sorted(recipient.targets, key=lambda target: target.key) == [
        Target(good.key, DeviceKind.WEBPUSH, Permission.GRANTED, None),
        Target(denied.key, DeviceKind.WEBPUSH, Permission.DENIED, None),
    ]


async def test_consents_are_those_of_the_categories_asked_for(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    lines = [consent(first, True), consent(first, False, "orders", channel=Channel.SMS), consent(second, True, "news")]
    await store.consents.append(project.key, lines)
    facts = await store.steps.facts(project.key, facts_query([first, second], categories=["orders", "news"]))
    assert [recipient.consents for recipient in facts.recipients] == [
        {("orders", "sms"): False},
        {("news", "push"): True},
    ]


async def test_sent_content_is_that_of_the_hashes_asked_for(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    await store.steps.commit(Effects(sent_content=[(first, 1), (first, 2), (second, 1)]))
    facts = await store.steps.facts(project.key, facts_query([first], content=[1, 3]))
    assert facts.sent_content.keys() == {(first, 1)}
