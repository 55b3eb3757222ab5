"""What is shown is replaced in place and taken back, in real browsers, with no page open, and after they were away."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from clarion_server import Demo, eventually
from harness import Chromium, Desktop, Firefox, gcm_switches, require
from visitor import Visitor

from free_ports import free_port

pytestmark = pytest.mark.browser


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("firefox-esr", "chromium", "dbus-daemon", "libnotify")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture(params=["firefox", "chromium"])
async def visitor(request: pytest.FixtureRequest, desktop: Desktop, tmp_path: Path) -> AsyncIterator[Visitor]:
    """Somebody who has allowed the shop to notify, and has left it."""
    port = free_port()
    demo = Demo(tmp_path / "demo", {"GCM": "on", "GCM_PORT": str(port)})
    await demo.start()
    try:
        async with AsyncExitStack() as opened:
            if request.param == "firefox":
                # As many pushes that leave nothing on the screen end a subscription; as it is, sixteen.
                quota = {"dom.push.maxQuotaPerSubscription": 3}
                firefox = Firefox(tmp_path / "profile", demo.push_url, desktop.address, quota)
                visitor = Visitor(await opened.enter_async_context(firefox), demo)
                await visitor.subscribe()
            else:
                switches = gcm_switches(demo.url, f"https://localhost:{port}")
                chromium = Chromium(tmp_path / "profile", switches, desktop.address)
                visitor = Visitor(await opened.enter_async_context(chromium), demo)
                await visitor.enter()
                await visitor.browser.permission(demo.url, "granted")
                await visitor.press_bell()
                await visitor.say_yes()
                await visitor.is_told_that_the_bell_is_set()
            await visitor.leave()
            yield visitor
        assert demo.complaints() == []
    finally:
        demo.kill()


async def send(visitor: Visitor, body: str, **more: str) -> str:
    """The path of what was sent."""
    asked = {"to": {"users": [visitor.name]}, "title": "Your order", "body": body, **more}
    return f"/v1/notifications/{(await visitor.demo.call('POST', '/v1/notifications', asked))['id']}"


async def accepted(visitor: Visitor, count: int) -> None:
    """The push service has so many, shown or not."""

    async def states() -> list[str]:
        return [each["state"] for each in await visitor.demo.deliveries(visitor.name)]

    done = {"accepted", "delivered", "displayed", "dismissed"}
    await eventually(states, lambda found: len(found) == count and set(found) <= done, f"{count} to be accepted")


async def reads(desktop: Desktop, *bodies: str) -> None:
    """On the screen are exactly these."""

    async def shown() -> list[str]:
        return sorted(each.body.split("\n")[-1] for each in desktop.on_screen.values())

    await eventually(shown, lambda found: found == sorted(bodies), f"the screen to show {bodies}")


async def test_shown_then_replaced_in_place_then_withdrawn(visitor: Visitor, desktop: Desktop) -> None:
    demo = visitor.demo
    path = await send(visitor, "10 stops away")
    await reads(desktop, "10 stops away")
    await demo.receipt(visitor.name, "displayed")
    for nth, body in enumerate(("3 stops away", "1 stop away"), 2):
        await demo.call("POST", f"{path}/replace", {"body": body})
        await reads(desktop, body)
        await demo.receipt(visitor.name, "displayed", nth=nth)
    beside = await send(visitor, "Something else")
    await reads(desktop, "1 stop away", "Something else")

    await demo.call("POST", f"{path}/withdraw")
    await reads(desktop, "Something else")
    await demo.call("POST", f"{beside}/withdraw")
    await reads(desktop)
    told = demo.explain(visitor.name)
    for words in ("in the place of", "Decided to withdraw", "delivered, and has closed it"):
        assert words in told
    assert "dismissed" not in told, "what we took away, nobody dismissed"


async def test_many_withdrawals_cost_the_site_nothing(visitor: Visitor, desktop: Desktop) -> None:
    """A Firefox would have ended the subscription, a Chromium would say that the site was updated in the background."""
    for round in range(5):
        path = await send(visitor, f"Round {round}")
        await reads(desktop, f"Round {round}")
        await visitor.demo.call("POST", f"{path}/withdraw")
        await reads(desktop)
    await send(visitor, "Still there")
    await reads(desktop, "Still there")
    assert [each.body.split("\n")[-1] for each in desktop.notifications] == [
        *(f"Round {round}" for round in range(5)),
        "Still there",
    ]


async def test_who_was_away_sees_the_newest_words_only(visitor: Visitor, desktop: Desktop) -> None:
    await visitor.browser.stop()
    # A Chromium's address is Google's: only with a key of the sender's does a message there have a Topic.
    path = await send(visitor, "10 stops away", collapse_key="order")
    gone = await send(visitor, "Never mind", collapse_key="other")
    await accepted(visitor, 2)
    await visitor.demo.call("POST", f"{path}/replace", {"body": "3 stops away"})
    await visitor.demo.call("POST", f"{gone}/withdraw")
    await accepted(visitor, 4)
    await visitor.browser.start()
    await reads(desktop, "3 stops away")
    words = [each.body for each in desktop.notifications]
    assert not any("10 stops" in body or "Never mind" in body for body in words)
