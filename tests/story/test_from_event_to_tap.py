"""The main story: something happens on a server, a person hears of it, taps, and we learn."""

import pytest

from clarion.model import Action, Audience, DeliveryState, DeviceState, Message, Permission, ReceiptKind, UserChange
from clarion.ports import Gone, Quarantined, RetryAfter, TooLarge
from story.world import World, payload, subscription, titles

SHIPPED = {
    "name": "order-shipped",
    "on": {"event": "order_shipped"},
    "notification": {
        "category": "orders",
        "title": "Your order is on its way",
        "body": "{{ event.order_id }} leaves today.",
        "url": "https://shop.example/orders/{{ event.order_id }}",
        "actions": [{"id": "track", "title": "Track", "url": "https://shop.example/track/{{ event.order_id }}"}],
    },
}


async def with_shop(world: World) -> World:
    await world.define("categories", name="orders", title="Orders", **{"class": "informational"})
    await world.define("automations", **SHIPPED)
    return world


async def test_an_event_becomes_a_notification_and_the_tap_comes_back(world: World) -> None:
    await with_shop(world)
    await world.subscribe("ada")
    world.clock.advance(seconds=1)
    await world.happens("ada", "order_shipped", order_id="A-17")
    world.clock.advance(seconds=1)
    await world.work()

    [message] = world.browser.sent
    shown = payload(message)
    assert shown["title"] == "Your order is on its way"
    assert shown["body"] == "A-17 leaves today."
    assert shown["url"] == "https://shop.example/orders/A-17"
    assert shown["actions"] == [
        {"id": "track", "title": "Track", "url": "https://shop.example/track/A-17", "icon": None}
    ]
    assert shown["class"] == "informational"
    assert shown["id"] == message.ready.id.hex()

    world.clock.advance(seconds=5)
    assert await world.device_tells(message, ReceiptKind.DISPLAYED, ReceiptKind.CLICKED) == [True, True]
    chapters = await world.pipeline.story(world.project, "ada")
    assert [chapter.stage for chapter in chapters] == [
        "permission", "registration", "trigger", "decide", "deliver", "display", "learn",
    ]  # fmt: skip
    assert chapters[-1].at - chapters[2].at == 6000


async def test_an_event_that_comes_twice_is_told_once(world: World) -> None:
    await with_shop(world)
    await world.subscribe("ada")
    assert await world.happens("ada", "order_shipped", id="evt-1", order_id="A-17")
    assert not await world.happens("ada", "order_shipped", id="evt-1", order_id="A-17")
    await world.work()
    assert len(world.browser.sent) == 1


async def test_an_event_that_nothing_waits_for_makes_no_work(world: World) -> None:
    await with_shop(world)
    await world.subscribe("ada")
    await world.happens("ada", "page_viewed")
    assert await world.work() == 0


async def test_who_declined_gets_nothing_and_the_decision_says_why(world: World) -> None:
    await world.pipeline.register(
        world.project, "ada", subscription("x", Permission.DENIED, installation="this-browser")
    )
    notification = await world.notify("ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "no_permission"}
    assert world.browser.sent == []


async def test_a_person_named_twice_hears_it_once(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada", "ada")
    await world.work()
    assert len(world.browser.sent) == 1
    assert await world.reasons(notification) == {"ada": "send"}


async def test_the_same_content_within_its_window_is_dropped_as_duplicate(world: World) -> None:
    await world.subscribe("ada")
    first = await world.notify("ada", content_key="cart-7", content_window=3600)
    second = await world.notify("ada", content_key="cart-7", content_window=3600)
    await world.work()
    world.clock.advance(hours=2)
    third = await world.notify("ada", content_key="cart-7", content_window=3600)
    await world.work()
    reasons = [(await world.reasons(one))["ada"] for one in (first, second, third)]
    assert reasons == ["send", "duplicate", "send"]


async def test_a_message_to_everyone_reaches_each_device_once(world: World) -> None:
    for number in range(2500):
        await world.subscribe(f"user-{number}")
    await world.subscribe("user-7", "second browser")
    notification = await world.pipeline.notify(
        world.project, Message(title="Hello {{ user.user_id }}"), Audience(everyone=True)
    )
    await world.work()
    assert len({message.ready.device for message in world.browser.sent}) == len(world.browser.sent) == 2501
    assert titles(world.browser.sent).count("Hello user-7") == 2
    progress = await world.store.trail.progress(world.project.key, notification.key)
    assert progress.reasons == {"send": 2500}
    assert progress.deliveries == {DeliveryState.ACCEPTED: 2501}
    assert not progress.working


async def test_two_thousand_named_people_are_cut_into_batches(world: World) -> None:
    names = [f"user-{number}" for number in range(2001)]
    notification = await world.notify(*names)
    await world.work()
    assert len(await world.reasons(notification)) == 1000  # one page
    assert (await world.store.trail.progress(world.project.key, notification.key)).reasons == {"no_device": 2001}


async def test_only_named_devices_get_a_message_to_devices(world: World) -> None:
    await world.subscribe("ada", "laptop")
    phone = await world.subscribe("ada", "phone")
    await world.pipeline.notify(world.project, Message(title="Hi"), Audience(devices=[phone.id]))
    await world.work()
    assert [message.ready.device for message in world.browser.sent] == [phone.key]


async def test_the_language_of_the_device_goes_before_that_of_the_person(world: World) -> None:
    await world.define(
        "templates",
        name="hello",
        default_locale="en",
        locales={"en": {"title": "Hello"}, "de": {"title": "Hallo"}, "pt-br": {"title": "Olá"}},
    )
    await world.subscribe("ada", "laptop", locale="de-AT")
    await world.subscribe("bob", "phone", locale="pt-BR")
    await world.subscribe("eve", "tablet", locale="xx")
    await world.notify("ada", "bob", "eve", title=None, template="hello")
    await world.work()
    assert sorted(titles(world.browser.sent)) == ["Hallo", "Hello", "Olá"]


async def test_a_missing_value_drops_only_the_person_who_misses_it(world: World) -> None:
    await world.subscribe("ada")
    await world.subscribe("bob")
    await world.store.users.put(world.project.key, "ada", _attributes(name="Ada"), world.clock.now())
    notification = await world.notify("ada", "bob", title="Hello {{ user.name }}")
    await world.work()
    assert await world.reasons(notification) == {"ada": "send", "bob": "template_error"}
    assert titles(world.browser.sent) == ["Hello Ada"]


def _attributes(**attributes: object):
    from clarion.model import UserChange  # noqa: PLC0415

    return UserChange(attributes=attributes)


async def test_a_payload_that_does_not_fit_is_dropped_with_its_size(world: World) -> None:
    await world.subscribe("ada")
    notification = await world.notify("ada", body="x" * 4000)
    await world.work()
    [decision] = await world.decisions(notification)
    assert decision.reason == "too_large"
    assert "4096 fit" in decision.gates


async def test_a_device_that_is_gone_is_retired_and_comes_back_when_it_registers(world: World) -> None:
    await world.subscribe("ada", "laptop")
    world.browser.then(Gone("410 unsubscribed"))
    first = await world.notify("ada")
    await world.work()
    assert [one.reason for one in await world.deliveries(first)] == ["device_gone"]
    second = await world.notify("ada")
    await world.work()
    assert await world.reasons(second) == {"ada": "no_device"}
    world.clock.advance(seconds=1)
    device = await world.subscribe("ada", "laptop")
    assert device.state is DeviceState.ACTIVE
    third = await world.notify("ada")
    await world.work()
    assert await world.states(third) == [DeliveryState.ACCEPTED]


async def test_a_story_keeps_the_order_of_the_way_within_a_millisecond(world: World) -> None:
    await world.subscribe("ada")
    world.browser.then(Gone("410 unsubscribed"))
    await world.happens("ada", "seen")
    await world.notify("ada")
    await world.work()
    chapters = await world.pipeline.story(world.project, "ada")
    assert len({chapter.at for chapter in chapters}) == 1
    assert [chapter.stage for chapter in chapters] == [
        *("permission", "registration", "trigger", "decide", "deliver", "learn"),
    ]


async def test_a_refusal_older_than_the_registration_proves_nothing(world: World) -> None:
    await world.subscribe("ada", "laptop")
    world.browser.then(Gone("410", since=world.clock.now() - 1000))
    await world.notify("ada")
    await world.work()
    [device] = await world.store.devices.of_user(world.project.key, await user_key(world, "ada"))
    assert device.state is DeviceState.ACTIVE


async def user_key(world: World, user_id: str) -> int:
    user = await world.store.users.get(world.project.key, user_id)
    assert user is not None
    return user.key


async def test_doubt_quarantines_a_device(world: World) -> None:
    await world.subscribe("ada", "laptop")
    world.browser.then(Quarantined("401 errno 109"))
    await world.notify("ada")
    await world.work()
    [device] = await world.store.devices.of_user(world.project.key, await user_key(world, "ada"))
    assert (device.state, device.state_reason) == (DeviceState.QUARANTINED, "401 errno 109")


async def test_a_push_service_that_fails_is_asked_again_with_the_same_id(world: World) -> None:
    await world.subscribe("ada")
    world.browser.then(RetryAfter(detail="503"), RetryAfter(seconds=30.0, detail="429"))
    notification = await world.notify("ada")
    await world.work()
    assert await world.states(notification) == [DeliveryState.QUEUED]
    world.clock.advance(seconds=10)
    await world.work()
    world.clock.advance(seconds=29)
    await world.work()
    assert len(world.browser.sent) == 2
    world.clock.advance(seconds=2)
    await world.work()
    assert await world.states(notification) == [DeliveryState.ACCEPTED]
    assert len({message.ready.id for message in world.browser.sent}) == 1
    assert [one.attempts for one in await world.deliveries(notification)] == [3]


async def test_what_cannot_be_delivered_within_its_ttl_expires(world: World) -> None:
    await world.subscribe("ada")
    world.browser.then(RetryAfter(seconds=600.0))
    notification = await world.notify("ada", ttl=60)
    await world.work()
    assert [(one.state, one.reason) for one in await world.deliveries(notification)] == [
        (DeliveryState.EXPIRED, "expired")
    ]


async def test_one_refused_message_does_not_hold_back_the_others(world: World) -> None:
    for name in ("ada", "bob", "eve"):
        await world.subscribe(name)
    world.browser.then(TooLarge(), RetryAfter())
    notification = await world.notify("ada", "bob", "eve")
    await world.work()
    assert sorted(await world.states(notification)) == [
        DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.ACCEPTED,
    ]  # fmt: skip


async def test_a_receipt_proves_what_the_push_service_left_open(world: World) -> None:
    await world.subscribe("ada")
    world.browser.then(RetryAfter(unknown=True))
    notification = await world.notify("ada")
    await world.work()
    [message] = world.browser.sent
    await world.device_tells(message, ReceiptKind.DISPLAYED)
    assert await world.states(notification) == [DeliveryState.DISPLAYED]
    assert await world.device_tells(message, ReceiptKind.DISPLAYED) == [False]


async def test_every_link_of_a_message_may_be_a_text(world: World) -> None:
    await world.subscribe("ada")
    field = "https://shop.example/{{ user.user_id }}/"
    links = {name: f"{field}{name}" for name in ("url", "icon", "image", "badge")}
    await world.notify("ada", **links, actions=[Action(id="a", title="A", url=f"{field}a", icon=f"{field}a.png")])
    await world.work()
    shown = payload(world.browser.sent[0])
    assert {name: shown[name] for name in links} == {name: f"https://shop.example/ada/{name}" for name in links}
    [action] = shown["actions"]
    assert (action["url"], action["icon"]) == ("https://shop.example/ada/a", "https://shop.example/ada/a.png")


@pytest.mark.parametrize(
    ("home", "reason"), [("javascript:x()", "template_error"), ("https://a.example", "send"), ("", "send")]
)
async def test_a_link_that_becomes_none_is_not_sent(world: World, home: str, reason: str) -> None:
    await world.subscribe("ada")
    await world.store.users.put(world.project.key, "ada", UserChange(attributes={"home": home}), world.clock.now())
    notification = await world.notify("ada", url="{{ user.home }}")
    await world.work()
    [decision] = await world.decisions(notification)
    assert decision.reason == reason
    if reason == "template_error":
        assert "url: must render to an http:// or https:// URL" in decision.gates


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("zh-Hant-TW", "traditional"),
        ("zh_hant", "traditional"),
        ("zh-Hant-x-private", "traditional"),
        ("zh-TW", "Chinese"),
        ("zh", "Chinese"),
        ("zho", "English"),
    ],
)
async def test_a_language_becomes_more_general_until_there_are_words(world: World, locale: str, title: str) -> None:
    names = {"zh-Hant": "traditional", "zh": "Chinese", "en": "English"}
    locales = {name: {"title": words} for name, words in names.items()}
    await world.define("templates", name="t", default_locale="en", locales=locales)
    await world.subscribe("ada", locale=locale)
    await world.notify("ada", title=None, template="t")
    await world.work()
    assert titles(world.browser.sent) == [title]


async def test_a_text_that_looks_like_a_place_to_fill_in_is_only_a_text(world: World) -> None:
    odd = (
        "\x01nothing\x01",
        "\x01title",
        "\x01\x01title",
        "\x01title\x01\x01\x01",
        "\\u0001title",
        '"\x01title"',
        "\x01id",
    )
    data = {"values": list(odd), **dict.fromkeys(odd, "")}
    await world.subscribe("ada")
    await world.notify("ada", title="{{ user.user_id }}", body="plain \x01url\x01", data=data)
    await world.work()
    shown = payload(world.browser.sent[0])
    assert (shown["title"], shown["body"], shown["data"]) == ("ada", "plain \x01url\x01", data)
