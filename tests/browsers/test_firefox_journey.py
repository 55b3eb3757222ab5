"""The whole way in a real Firefox: from the prompt to the tap, and every way in which it may end early."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from clarion_server import Demo, Json, eventually
from harness import Desktop, Firefox, require
from visitor import Visitor

pytestmark = pytest.mark.browser

ORDER = "MUG-AAAA2222"
CLOCK_TIME = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} ", re.MULTILINE)


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
    assert "image-data" in shown.hints, "its icon could not be loaded"
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
    for words in ("answered: granted", "got an address", "Event order_placed", "Decided to send", "tells: clicked"):
        assert words in told
    assert len(CLOCK_TIME.findall(told)) == len(story)

    await _fire(demo, visitor.name)
    shown = await desktop.next_notification()
    assert (shown.summary, shown.body) == ("Low tide", "The kiln is open.")


async def _fire(demo: Demo, user: str) -> None:
    """Armed, with its message encrypted ahead; and let go."""
    # Who registered in the seconds before is decided anew at the fire, and not from the prepared batch.
    with closing(sqlite3.connect(demo.data / "clarion.db", timeout=30)) as database, database:
        database.execute("UPDATE device SET updated_at = updated_at - 3600000")
    body = {"to": {"users": [user]}, "title": "Low tide", "body": "The kiln is open.", "arm": True}
    path = f"/v1/notifications/{(await demo.call('POST', '/v1/notifications', body))['id']}"
    await eventually(lambda: demo.call("GET", path), lambda told: told["state"] == "armed", "it to be armed")
    await demo.call("POST", f"{path}/fire")


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


@pytest.mark.parametrize("where", ["prompt", "settings"])
async def test_a_no_to_the_browser_itself(where: str, visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    if where == "prompt":
        await visitor.enter()
        await visitor.press_bell()
        await visitor.say_yes()
        await visitor.firefox.answer_prompt(allow=False)
    else:
        await visitor.subscribe()
        await visitor.firefox.permission(demo.url, "denied")
    await visitor.reads("Notifications are blocked")
    await eventually(lambda: demo.devices(visitor.name), _all(permission="denied"), "the server to know")
    await visitor.order("mug")
    decision = await demo.decision(visitor.name)
    assert (decision["decision"], decision["reason"]) == ("drop", "no_permission")
    assert decision["gates"][-1][:2] == ["permission", "drop"]
    assert await demo.deliveries(visitor.name) == []
    assert desktop.notifications == []


async def test_pushes_wait_for_a_firefox_that_is_shut(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.firefox.stop()
    products = [f"Mug {number}" for number in range(12)]  # more than the push service hands over at once
    orders = [{"order": ORDER, "product": product} for product in products]
    await asyncio.gather(*(demo.tell(visitor.name, "order_placed", order) for order in orders))
    await eventually(lambda: demo.deliveries(visitor.name), _all(12, state="accepted"), "the push service to have them")

    await visitor.firefox.start()
    shown = [await desktop.next_notification() for _ in orders]
    assert {one.body for one in shown} == {f"{product} left our harbour today." for product in products}
    desktop.click(shown[0])
    await visitor.firefox.switch_to(f"/shop/orders/{ORDER}")
    await demo.receipt(visitor.name, "clicked")
    assert len(desktop.notifications) == 12


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
    await eventually(lambda: demo.devices(visitor.name), _all(state="retired"), "the device to retire")
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
    await eventually(lambda: demo.devices(visitor.name), _all(state="active"), "the device to come back")
    await demo.ship(visitor.name, ORDER)
    await desktop.next_notification()


async def test_the_buttons_own_page(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await demo.ship(visitor.name, ORDER)
    desktop.click(await desktop.next_notification(), "track")
    await visitor.firefox.switch_to("/shop/track/")
    tabs = [f"{demo.url}/shop", f"{demo.url}/shop/track/{ORDER}"]
    assert await visitor.firefox.windows() == tabs, "what was open is left alone"
    clicked = await demo.receipt(visitor.name, "clicked")
    assert clicked["detail"]["action"] == "track"

    await demo.ship(visitor.name, ORDER)
    desktop.click(await desktop.next_notification(), "track")
    await demo.receipt(visitor.name, "clicked", nth=2)
    assert await visitor.firefox.windows() == tabs, "the page was open already"


async def test_what_is_put_away_is_told(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    news = {"to": {"users": [visitor.name]}, "title": "Packed", "collapse_key": "order", "url": demo.url}
    await demo.call("POST", "/v1/notifications", news)
    await demo.receipt(visitor.name, "displayed")
    await demo.call("POST", "/v1/notifications", news | {"title": "On its way"})
    await demo.receipt(visitor.name, "displayed", nth=2)
    assert [shown.summary for shown in desktop.on_screen.values()] == ["On its way"]
    desktop.dismiss(desktop.notifications[-1])
    await demo.receipt(visitor.name, "dismissed")
    states = [delivery["state"] for delivery in await demo.deliveries(visitor.name)]
    assert sorted(states) == ["dismissed", "displayed"], "what was replaced was not dismissed"


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


async def test_a_person_changes_their_mind(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.firefox.click("[data-what=offer]")
    decision = await demo.decision(visitor.name)
    assert (decision["decision"], decision["reason"]) == ("drop", "opted_out")
    await visitor.firefox.click("[data-what=sign_in]")  # nobody can switch security off
    assert (await desktop.next_notification()).summary == "New sign-in from Tromsø"

    await visitor.firefox.click("#bell-off")
    await visitor.reads("The bell is off")
    assert await demo.devices(visitor.name) == []
    await visitor.order("mug")
    assert (await demo.decision(visitor.name, nth=3))["reason"] == "no_device"

    await visitor.press_bell()
    await visitor.tick("offers")
    await visitor.say_yes()
    await visitor.is_told_that_the_bell_is_set()
    await visitor.firefox.click("[data-what=offer]")
    assert (await desktop.next_notification()).summary == "Evenings are getting longer"


async def test_a_server_that_is_killed_forgets_nothing(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    await demo.ship(visitor.name, ORDER)
    demo.kill()  # after the 202, somewhere on the way
    await demo.start()
    desktop.click(await desktop.next_notification())
    await visitor.firefox.switch_to(f"/shop/orders/{ORDER}")
    await demo.receipt(visitor.name, "clicked")
    assert len(desktop.notifications) == 1


async def test_a_browser_that_knew_an_earlier_installation(visitor: Visitor, demo: Demo, desktop: Desktop) -> None:
    await visitor.subscribe()
    await visitor.leave()
    await demo.start_over()
    await visitor.enter()
    await visitor.is_told_that_the_bell_is_set()
    await demo.ship(visitor.name, ORDER)
    await desktop.next_notification()


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


def _all(count: int = 1, **fields: str) -> Callable[[list[Json]], bool]:
    return lambda items: len(items) == count and all(fields.items() <= item.items() for item in items)
