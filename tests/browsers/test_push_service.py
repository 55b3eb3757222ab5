"""Our push service under both of its browsers, with a website and a sender that know nothing of Clarion."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from clarion_server import eventually
from harness import Browser, Chromium, Desktop, Firefox, gcm_switches, require
from push_server import PushServer
from website import Site, open_site

pytestmark = pytest.mark.browser

Subscription: TypeAlias = dict[str, Any]
OpenBrowser: TypeAlias = Callable[[], Browser]
LONGEST = "ü" * 1996 + "x"  # 3,993 bytes: what is left of 4,096 after encryption


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    require("dbus-daemon")
    server = PushServer(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
async def server(shared_server: PushServer) -> AsyncIterator[PushServer]:
    """Running; what it logs as an error fails the test."""
    if not shared_server.running:
        await shared_server.start()
    before = len(shared_server.complaints())
    yield shared_server
    assert shared_server.complaints()[before:] == []


@pytest.fixture
async def site(server: PushServer) -> AsyncIterator[Site]:
    async with open_site(server.url) as site:
        yield site
        assert site.quiet(), "a push came that nobody asked for"


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture(params=["firefox", "chromium"])
async def browser(
    request: pytest.FixtureRequest, server: PushServer, desktop: Desktop, tmp_path: Path
) -> AsyncIterator[Browser]:
    async with open_browser(request.param, server, desktop, tmp_path / "profile") as browser:
        yield browser


def open_browser(name: str, server: PushServer, desktop: Desktop, profile: Path) -> Browser:
    if name == "firefox":
        require("firefox-esr", "libnotify")
        return Firefox(profile, server.push_url, desktop.address)
    require("chromium")
    return Chromium(profile, gcm_switches(server.url, server.gcm_url), desktop.address)


@pytest.fixture
async def subscription(browser: Browser, site: Site) -> Subscription:
    """Of the browser, whose page of the site is closed again."""
    await browser.goto(site.origin)
    await browser.permission(site.origin, "granted")
    subscription: Subscription = await browser.run("return await subscribe(arguments[0])", site.public_key)
    await browser.close_tab()
    return subscription


async def test_a_push_arrives_with_no_page_open(browser: Browser, site: Site, subscription: Subscription) -> None:
    assert (await site.send(subscription, "On its way")).status == 201
    pushed = await site.pushed()
    assert (pushed.text, pushed.pages) == ("On its way", 0)
    assert await browser.windows() == ["about:blank"]


async def test_a_push_without_payload_and_the_longest_one(site: Site, subscription: Subscription) -> None:
    assert len(LONGEST.encode()) == 3_993
    for text in (None, LONGEST):
        answer = await (site.send_nothing(subscription) if text is None else site.send(subscription, text))
        assert answer.status == 201
        assert (await site.pushed()).text == text


async def test_a_push_wakes_a_worker_that_was_stopped(browser: Browser, site: Site, subscription: Subscription) -> None:
    await site.send(subscription, "first")
    first = await site.pushed()
    await browser.stop_workers()
    await site.send(subscription, "second")
    second = await site.pushed()
    assert second.text == "second"
    assert second.life != first.life, "the worker had not been stopped"


async def test_pushes_wait_for_a_browser_that_is_shut(browser: Browser, site: Site, subscription: Subscription) -> None:
    await browser.stop()
    texts = [f"number {number}" for number in range(13)]  # more than the push service hands over at once
    for text in texts:
        assert (await site.send(subscription, text)).status == 201
    await browser.start()
    # The worker runs its events side by side, so that they may end in another order.
    assert sorted([(await site.pushed()).text for _ in texts]) == sorted(texts)
    await browser.restart()  # what was acknowledged does not come again
    await site.send(subscription, "after")
    assert (await site.pushed()).text == "after"


async def test_a_push_survives_the_server(
    browser: Browser, site: Site, subscription: Subscription, server: PushServer
) -> None:
    """The server dies with the message on its disk; the browser comes back by itself and gets it."""
    await browser.stop()
    assert (await site.send(subscription, "kept")).status == 201
    server.kill()
    await server.start()
    await browser.start()
    assert (await site.pushed()).text == "kept"


async def test_what_expired_does_not_arrive(browser: Browser, site: Site, subscription: Subscription) -> None:
    await browser.stop()
    short = await site.send(subscription, "too late", ttl=1)
    instant = await site.send(subscription, "now or never", ttl=0)
    assert (short.status, instant.status) == (201, 201)
    await site.send(subscription, "in time")
    await site.after(seconds=2)
    await browser.start()
    assert (await site.pushed()).text == "in time"
    await site.send(subscription, "now", ttl=0)
    assert (await site.pushed()).text == "now"


async def test_a_topic_replaces_what_waits(browser: Browser, site: Site, subscription: Subscription) -> None:
    await browser.stop()
    await site.send(subscription, "packed", Topic="order-1")
    await site.send(subscription, "other order", Topic="order-2")
    await site.send(subscription, "on its way", Topic="order-1")
    await browser.start()
    assert {(await site.pushed()).text for _ in range(2)} == {"other order", "on its way"}


async def test_a_tampered_push_never_reaches_the_page(
    browser: Browser, site: Site, subscription: Subscription, server: PushServer
) -> None:
    before = await server.counted("clarion_push_messages_acked_total")
    assert (await site.send(subscription, "tampered", tamper=True)).status == 201
    assert (await site.send(subscription, "genuine")).status == 201
    assert (await site.pushed()).text == "genuine"
    counted = "101" if isinstance(browser, Firefox) else "100"  # Chromium has no word for it

    async def acknowledged() -> float:
        acked = await server.counted("clarion_push_messages_acked_total")
        return sum(acked.values()) - sum(before.values())

    await eventually(acknowledged, lambda count: count == 2, "both to be acknowledged")
    acked = await server.counted("clarion_push_messages_acked_total")
    assert acked[counted] - before[counted] >= 1


async def test_who_unsubscribes_is_gone_for_the_sender(
    browser: Browser, site: Site, subscription: Subscription
) -> None:
    await browser.goto(site.origin)
    assert await browser.run("return await unsubscribe()") is True
    # The promise does not wait for the push service: what is sent before it knows is stored, and comes to nothing.
    answer = await eventually(
        lambda: site.send(subscription, "gone", ttl=0), lambda answer: answer.status != 201, "to be unregistered"
    )
    assert answer.status == 410
    again = await browser.run("return await subscribe(arguments[0])", site.public_key)
    assert again["endpoint"] != subscription["endpoint"]
    await site.send(again, "back")
    assert (await site.pushed()).text == "back"


@pytest.mark.parametrize("action", ["default", "track"])
async def test_a_tap_opens_the_page(
    action: str, browser: Browser, site: Site, desktop: Desktop, subscription: Subscription
) -> None:
    await site.send(subscription, "Tap me")
    await site.pushed()
    shown = await desktop.next_notification()
    assert shown.summary == "Tap me"
    assert set(shown.actions.values()) >= {"Track"}
    desktop.click(shown, action)
    opened = f"{site.origin}/opened/{'body' if action == 'default' else action}"
    assert await browser.switch_to("/opened/") == opened
