"""The whole way in a real Firefox: from the prompt to the tap, and every way in which it may end early."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from clarion_server import Demo, Json, eventually
from harness import Desktop, Firefox, require
from visitor import Visitor

pytestmark = pytest.mark.browser

ORDER = "MUG-AAAA2222"


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all visitors, who know nothing of each other."""
    require("firefox-esr", "dbus-daemon", "libnotify")
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.kill()


@pytest.fixture
async def demo(shared_demo: Demo) -> AsyncIterator[Demo]:
    """The demo, running; what it logs as an error fails the test."""
    if not shared_demo.running:
        await shared_demo.start()
    before = len(shared_demo.complaints())
    yield shared_demo
    assert shared_demo.complaints()[before:] == []


@pytest.fixture
async def visitor(demo: Demo, desktop: Desktop, tmp_path: Path) -> AsyncIterator[Visitor]:
    """Somebody with a fresh browser; what its pages throw fails the test."""
    async with Firefox(tmp_path / "profile", demo.push_url, desktop.address) as firefox:
        yield Visitor(firefox, demo)
        thrown = [line for line in firefox.log().splitlines() if line.startswith(f"JavaScript error: {demo.url}")]
        assert thrown == []


async def test_from_the_prompt_to_the_tap(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.enter()
    prompt = await visitor.press_bell()
    assert "When something you ordered is on its way." in prompt
    await visitor.say_yes()
    await visitor.firefox.answer_prompt(allow=True)
    await visitor.is_told_that_the_bell_is_set()
    await visitor.leave()

    await demo.ship(visitor.name, ORDER)
    shown = await desktop.next_notification()
    assert (shown.summary, shown.body) == ("Your order is on its way", "Tide mug left our harbour today.")
    await demo.receipt(visitor.name, "displayed")
    desktop.click(shown)
    opened = await visitor.firefox.switch_to("/shop/orders/")
    assert opened == f"{demo.url}/shop/orders/{ORDER}"
    await visitor.reads("You tapped it")
    await demo.receipt(visitor.name, "clicked")
    assert not desktop.on_screen

    story = await demo.story(visitor.name)
    assert [chapter["stage"] for chapter in story if "category" not in chapter["detail"]] == [
        *("permission", "registration", "trigger", "decide", "deliver", "display", "display", "learn"),
    ]
    assert all(early["at"] <= late["at"] for early, late in pairwise(story))
    decision = next(chapter["detail"] for chapter in story if chapter["stage"] == "decide")
    assert (decision["decision"], decision["reason"]) == ("send", "send")
    assert {gate for gate, verdict, _ in decision["gates"] if verdict == "pass"} >= {"permission", "consent", "device"}
    assert [delivery["state"] for delivery in await demo.deliveries(visitor.name)] == ["clicked"]

    told = demo.explain(visitor.name)
    for words in ("answered: granted", "got an address", "Event order_placed", "Decided to send", "clicked"):
        assert words in told
    assert told.count(":") > 2 * len(story)  # each chapter has a clock time


async def test_a_no_to_the_soft_prompt_never_shows_the_browsers(visitor: Visitor, demo: Demo) -> None:
    await visitor.enter()
    await visitor.press_bell()
    await visitor.say_not_now()
    assert not await visitor.is_asked_by_the_browser()
    assert await visitor.permission() == "default"
    await visitor.reads("No it is, then.")
    await visitor.order("mug")
    assert (await demo.decision(visitor.name))["reason"] == "no_device"

    await visitor.press_bell()  # an own wish, so the prompt is there again
    await visitor.say_yes()
    await visitor.firefox.answer_prompt(allow=True)
    await visitor.is_told_that_the_bell_is_set()


async def test_a_no_in_the_browsers_own_prompt(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.enter()
    await visitor.press_bell()
    await visitor.say_yes()
    await visitor.firefox.answer_prompt(allow=False)
    await visitor.reads("Notifications are blocked")
    await visitor.order("mug")
    decision = await demo.decision(visitor.name)
    assert (decision["decision"], decision["reason"]) == ("drop", "no_permission")
    assert await demo.deliveries(visitor.name) == []
    assert desktop.notifications == []


async def test_a_push_waits_for_a_firefox_that_is_shut(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.firefox.stop()
    await demo.ship(visitor.name, ORDER)
    await demo.decision(visitor.name)
    await eventually(lambda: demo.deliveries(visitor.name), _all("accepted"), "the push service to keep it")

    await visitor.firefox.start()
    desktop.click(await desktop.next_notification())
    await visitor.firefox.switch_to(f"/shop/orders/{ORDER}")
    await demo.receipt(visitor.name, "clicked")


@pytest.mark.parametrize("how", ["unsubscribed", "revoked"])
async def test_a_subscription_that_ended_in_the_browser_retires_its_device(
    how: str, visitor: Visitor, demo: Demo, desktop: Desktop
) -> None:
    await visitor.subscribe()
    if how == "unsubscribed":
        await visitor.firefox.run(
            "const worker = await navigator.serviceWorker.ready;"
            "await (await worker.pushManager.getSubscription()).unsubscribe();"
        )
        await visitor.leave()
    else:
        await visitor.leave()
        await visitor.firefox.revoke_permission(demo.url)
    await demo.ship(visitor.name, ORDER)
    await eventually(lambda: demo.devices(visitor.name), _all("retired"), "the device to retire")
    assert [delivery["reason"] for delivery in await demo.deliveries(visitor.name)] == ["device_gone"]
    await demo.ship(visitor.name, ORDER)
    assert (await demo.decision(visitor.name, nth=2))["reason"] == "no_device"
    assert desktop.notifications == []

    # The same browser comes back as the same device.
    if how == "revoked":
        await visitor.subscribe()
    else:
        await visitor.enter()
        await visitor.is_told_that_the_bell_is_set()
    await eventually(lambda: demo.devices(visitor.name), _all("active"), "the device to come back")
    await demo.ship(visitor.name, ORDER)
    await desktop.next_notification()


async def test_the_buttons_own_page(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    await demo.ship(visitor.name, ORDER)
    desktop.click(await desktop.next_notification(), "track")
    assert await visitor.firefox.switch_to("/shop/track/") == f"{demo.url}/shop/track/{ORDER}"
    clicked = await demo.receipt(visitor.name, "clicked")
    assert clicked["detail"]["action"] == "track"

    # The page is open: another tap on the same goes there, and opens no second one.
    await demo.ship(visitor.name, ORDER)
    desktop.click(await desktop.next_notification(), "track")
    await demo.receipt(visitor.name, "clicked", nth=2)
    assert len(await visitor.firefox.windows()) == 2


async def test_what_is_put_away_is_told(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    await demo.ship(visitor.name, ORDER)
    desktop.dismiss(await desktop.next_notification())
    await demo.receipt(visitor.name, "dismissed")
    assert [delivery["state"] for delivery in await demo.deliveries(visitor.name)] == ["dismissed"]


async def test_receipts_wait_for_a_server_that_is_away(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    await demo.ship(visitor.name, ORDER)
    shown = await desktop.next_notification()
    await demo.receipt(visitor.name, "displayed")
    await demo.stop()
    desktop.click(shown)
    await visitor.firefox.switch_to(f"/shop/orders/{ORDER}")
    back_at = datetime.now().astimezone()
    await demo.start()

    await visitor.enter()
    clicked = await demo.receipt(visitor.name, "clicked")
    assert datetime.fromisoformat(clicked["at"]) < back_at


async def test_offers_only_for_those_who_ticked_them(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.firefox.click("[data-what=offer]")
    decision = await demo.decision(visitor.name)
    assert (decision["decision"], decision["reason"]) == ("drop", "opted_out")
    await visitor.firefox.click("[data-what=sign_in]")  # nobody can switch security off
    assert (await desktop.next_notification()).summary == "New sign-in from Tromsø"

    await visitor.firefox.click("#bell-off")
    await visitor.press_bell()
    await visitor.tick("offers")
    await visitor.say_yes()
    await visitor.is_told_that_the_bell_is_set()
    await visitor.firefox.click("[data-what=offer]")
    assert (await desktop.next_notification()).summary == "Evenings are getting longer"


async def test_a_server_that_is_killed_forgets_nothing(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    demo.kill()
    await demo.start()
    await demo.ship(visitor.name, ORDER)
    await desktop.next_notification()

    await demo.ship(visitor.name, "FERN-AAAA2222")
    demo.kill()  # after the 202, somewhere on the way
    await demo.start()
    desktop.click(await desktop.next_notification(within=20))
    await visitor.firefox.switch_to("/shop/orders/FERN-AAAA2222")
    await demo.receipt(visitor.name, "clicked")
    assert len(desktop.notifications) == 2


async def test_the_bell_can_be_switched_off(visitor: Visitor, demo: Demo) -> None:
    await visitor.subscribe()
    await visitor.firefox.click("#bell-off")
    await visitor.reads("The bell is off")
    assert await demo.devices(visitor.name) == []
    await visitor.order("mug")
    assert (await demo.decision(visitor.name))["reason"] == "no_device"


async def test_the_live_page_tells_it_as_it_happens(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    order = await visitor.order("mug")
    await visitor.reads("Arrived: Your order is on its way")
    await visitor.firefox.goto(f"{demo.url}/live?user={visitor.name}")
    await visitor.firefox.run("window.first = true")
    for words in (order, "Allowed, wanted and worth it", "Arrived at the device", "On the screen", "your turn"):
        await visitor.reads(words)
    desktop.dismiss(await desktop.next_notification())
    await visitor.reads("Dismissed")
    await demo.tell(visitor.name, "offer_wished", {})
    await visitor.reads("Drop: opted_out")
    assert await visitor.firefox.run("return window.first"), "the page was loaded again"


def _all(state: str) -> Callable[[list[Json]], bool]:
    return lambda items: bool(items) and all(item["state"] == state for item in items)
