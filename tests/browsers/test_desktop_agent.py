"""The desktop agent for real: a server, an agent and a desktop, each in a process of its own, from the call to the tap."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from clarion_server import Demo, Json, eventually
from desktop_agent import DesktopAgent
from harness import Desktop, Notification, require

pytestmark = pytest.mark.browser

NewAgent = Callable[[], Awaitable[DesktopAgent]]


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.kill()


@pytest.fixture
async def demo(shared_demo: Demo) -> Demo:
    if not shared_demo.running:
        await shared_demo.start()
    return shared_demo


@pytest.fixture
async def agent(demo: Demo, desktop: Desktop, tmp_path: Path) -> AsyncIterator[DesktopAgent]:
    """Running, the only device of a person of its own."""
    key = (await demo.call("POST", "/v1/keys", {"kind": "public"}))["key"]
    agent = DesktopAgent(demo, desktop, tmp_path / "home", f"ada-{uuid4().hex[:8]}", key)
    await agent.start()
    yield agent
    agent.kill()
    assert "Traceback" not in agent.logged, agent.logged
    assert key not in agent.logged


async def send(demo: Demo, agent: DesktopAgent, title: str, **more: Any) -> None:
    await demo.call("POST", "/v1/notifications", {"to": {"users": [agent.user]}, "title": title, **more})


async def states(demo: Demo, agent: DesktopAgent, *expected: str) -> list[Json]:
    """Wait until the person's deliveries are in these states, oldest first."""

    async def look() -> list[Json]:
        return sorted(await demo.deliveries(agent.user), key=lambda delivery: delivery["created_at"])

    return await eventually(look, lambda found: [each["state"] for each in found] == list(expected), str(expected))


def shown(desktop: Desktop) -> list[str]:
    """The titles of all that was ever shown."""
    return [notification.summary for notification in desktop.notifications]


async def test_from_the_call_to_the_tap(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    await send(
        demo,
        agent,
        "Your order is on its way",
        body="A-17 leaves today.",
        url=f"{demo.url}/orders/A-17",
        icon=f"{demo.url}/shop/icon.png",
        actions=[{"id": "track", "title": "Track", "url": f"{demo.url}/track/A-17"}],
        require_interaction=True,
    )
    notification = await desktop.next_notification()
    assert (notification.summary, notification.body) == ("Your order is on its way", "A-17 leaves today.")
    assert notification.actions == {"default": "", "track": "Track"}
    assert notification.hints["sound-name"] == "message-new-instant"
    assert notification.expire_ms == 0
    await states(demo, agent, "displayed")
    desktop.click(notification)
    await agent.until_opened(f"{demo.url}/orders/A-17")
    await states(demo, agent, "clicked")
    for kind in ("delivered", "displayed", "clicked"):
        await demo.receipt(agent.user, kind)
