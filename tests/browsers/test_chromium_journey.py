"""The whole way in a real Chromium, without Google: our own sender delivers to addresses that name Google's host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clarion_server import Demo, eventually
from harness import Chromium, Desktop, gcm_switches, require
from visitor import Visitor

from free_ports import free_port

pytestmark = pytest.mark.browser


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("chromium", "dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture
async def visitor(desktop: Desktop, tmp_path: Path) -> AsyncIterator[Visitor]:
    """Somebody in a Chromium who has allowed the shop of `clarion demo --gcm` to notify, and has left it."""
    port = free_port()
    demo = Demo(tmp_path / "demo", {"GCM": "on", "GCM_PORT": str(port)})
    await demo.start()
    try:
        switches = gcm_switches(demo.url, f"https://localhost:{port}")
        async with Chromium(tmp_path / "profile", switches, desktop.address) as browser:
            visitor = Visitor(browser, demo)
            await visitor.enter()
            await browser.permission(demo.url, "granted")
            await visitor.press_bell()
            await visitor.say_yes()
            await visitor.is_told_that_the_bell_is_set()
            await visitor.leave()
            yield visitor
        assert demo.complaints() == []
    finally:
        demo.kill()


async def test_from_the_api_to_the_tap_and_back(visitor: Visitor, desktop: Desktop) -> None:
    demo = visitor.demo
    [device] = await demo.devices(visitor.name)
    assert device["kind"] == "webpush"
    assert device["connected"] is True
    track = {"id": "track", "title": "Track", "url": f"{demo.url}/shop/track/MUG-1"}
    notification = {
        "to": {"users": [visitor.name]},
        "title": "Your order is on its way",
        "body": "It leaves today.",
        "url": f"{demo.url}/shop/orders/MUG-1",
        "actions": [track],
    }
    await demo.call("POST", "/v1/notifications", notification)
    shown = await desktop.next_notification()
    assert shown.summary == "Your order is on its way"
    assert "It leaves today." in shown.body
    await demo.receipt(visitor.name, "displayed")
    desktop.click(shown)
    assert await visitor.browser.switch_to("/shop/orders/") == f"{demo.url}/shop/orders/MUG-1"
    await demo.receipt(visitor.name, "clicked")
    assert [delivery["state"] for delivery in await demo.deliveries(visitor.name)] == ["clicked"]


async def test_pushes_wait_for_a_chromium_that_is_shut(visitor: Visitor, desktop: Desktop) -> None:
    demo = visitor.demo
    await visitor.browser.stop()
    for number in range(12):
        await demo.tell(visitor.name, "order_placed", {"order": f"MUG-{number}", "product": f"Mug {number}"})

    async def accepted() -> int:
        return sum(delivery["state"] == "accepted" for delivery in await demo.deliveries(visitor.name))

    await eventually(accepted, lambda count: count == 12, "the push service to have them")
    await visitor.browser.start()
    bodies = [(await desktop.next_notification()).body for _ in range(12)]
    for number in range(12):
        assert sum(f"Mug {number} left our harbour today." in body for body in bodies) == 1


async def test_a_subscription_that_ended_retires_its_device(visitor: Visitor, desktop: Desktop) -> None:
    demo = visitor.demo
    await visitor.browser.goto(f"{demo.url}/docs")  # of the same origin, where no page of the shop subscribes anew
    await visitor.browser.run(
        "const worker = await navigator.serviceWorker.getRegistration('/');"
        "await (await worker.pushManager.getSubscription()).unsubscribe();"
    )
    retired = {"state": "retired"}.items()

    async def devices() -> bool:
        await demo.ship(visitor.name, "MUG-1")  # the browser tells its push service a moment later
        return all(retired <= device.items() for device in await demo.devices(visitor.name))

    await eventually(devices, bool, "the device to retire")
    assert desktop.notifications == []
