"""The desktop agent for real: a server, an agent and a desktop in processes of their own, from the call to the tap."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from clarion_server import Demo, eventually
from desktop_agent import DesktopAgent, screen_saver
from harness import Desktop, require

import clarion.demo
from certificates import Authority, Pair

pytestmark = pytest.mark.browser

ICON = (Path(clarion.demo.__file__).parent / "assets" / "icon.png").read_bytes()


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


async def states_of(demo: Demo, agent: DesktopAgent, wanted: Callable[[list[str]], bool]) -> list[str]:
    """Wait until the states of the person's deliveries, oldest first, are as wanted."""

    async def look() -> list[str]:
        deliveries = sorted(await demo.deliveries(agent.user), key=lambda delivery: delivery["created_at"])
        return [delivery["state"] for delivery in deliveries]

    return await eventually(look, wanted, "the states of the deliveries")


async def states(demo: Demo, agent: DesktopAgent, *expected: str) -> None:
    """Wait until they are these."""
    await states_of(demo, agent, lambda found: found == list(expected))


def content_of(url: str) -> bytes:
    return Path(url.removeprefix("file://")).read_bytes()


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
        icon=f"{demo.url}/shop/assets/icon.png",
        actions=[{"id": "track", "title": "Track", "url": f"{demo.url}/track/A-17"}],
        require_interaction=True,
    )
    notification = await desktop.next_notification()
    assert (notification.summary, notification.body) == ("Your order is on its way", "A-17 leaves today.")
    assert notification.actions == {"default": "", "track": "Track"}
    assert content_of(notification.icon) == ICON
    assert notification.hints["sound-name"] == "message-new-instant"
    assert notification.expire_ms == 0
    await states(demo, agent, "displayed")
    desktop.click(notification)
    await agent.until_opened(f"{demo.url}/orders/A-17")
    await states(demo, agent, "clicked")
    for kind in ("delivered", "displayed", "clicked"):
        await demo.receipt(agent.user, kind)


async def test_a_button_opens_its_own_page(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    actions = [{"id": "track", "title": "Track", "url": f"{demo.url}/track"}, {"id": "later", "title": "Later"}]
    for number, button in enumerate(("track", "later"), start=1):
        await send(
            demo, agent, f"Number {number}", url=f"{demo.url}/order", actions=actions, sound="bell", urgency="low"
        )
        notification = await desktop.next_notification()
        assert (notification.hints["sound-name"], notification.hints["urgency"]) == ("bell", 0)
        desktop.click(notification, button)
        receipt = await demo.receipt(agent.user, "clicked", nth=number)
        assert receipt["detail"]["action"] == button
    await agent.until_opened(f"{demo.url}/track", f"{demo.url}/order")


async def test_put_away(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    await send(demo, agent, "Look", url=f"{demo.url}/look", sound="none")
    notification = await desktop.next_notification()
    assert "sound-name" not in notification.hints
    desktop.dismiss(notification)
    await states(demo, agent, "dismissed")
    assert agent.opened == []


async def test_a_newer_one_takes_the_place_of_the_older(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    await send(demo, agent, "Packed", collapse_key="order-1", url=f"{demo.url}/packed")
    first = await desktop.next_notification()
    await send(demo, agent, "Something else", collapse_key="order-2")
    await desktop.next_notification()
    await send(demo, agent, "Shipped", collapse_key="order-1", url=f"{demo.url}/shipped")
    second = await desktop.next_notification()
    assert second.replaces_id == first.id
    assert sorted(each.summary for each in desktop.on_screen.values()) == ["Shipped", "Something else"]
    desktop.click(second)
    await agent.until_opened(f"{demo.url}/shipped")


async def test_what_a_locked_screen_must_not_show_waits_for_the_unlock(
    demo: Demo, agent: DesktopAgent, desktop: Desktop
) -> None:
    async with screen_saver(desktop) as saver:
        saver.active = True
        await send(demo, agent, "Your balance", lock_screen="hide")
        await send(demo, agent, "For all to see")
        assert (await desktop.next_notification()).summary == "For all to see"
        await states(demo, agent, "delivered", "displayed")
        saver.active = False
        assert (await desktop.next_notification()).summary == "Your balance"
        await states(demo, agent, "displayed", "displayed")


async def test_the_server_dies_and_comes_back(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    await send(demo, agent, "Before")
    first = await desktop.next_notification()
    await demo.receipt(agent.user, "displayed")
    demo.kill()
    await agent.until_logged("disconnected")
    desktop.click(first)  # nobody is there to be told
    await agent.until_logged("receipts_wait")
    await demo.start()
    await agent.until_logged("connected", 2)
    await states(demo, agent, "clicked")
    await send(demo, agent, "After")
    assert (await desktop.next_notification()).summary == "After"
    assert len(agent.lines("registered")) == 1, "nothing had changed"


async def test_what_was_stored_while_the_agent_was_away(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    [device] = await demo.devices(agent.user)
    assert agent.end() == 0
    for number, title in enumerate(("One", "Two", "Three"), start=1):
        await send(demo, agent, title)
        await states(demo, agent, *["accepted"] * number)  # stored before the next one is sent
    assert shown(desktop) == []
    again = await agent.start()
    assert (again["id"], again["address"]) == (device["id"], device["address"])
    await states(demo, agent, "displayed", "displayed", "displayed")
    assert shown(desktop) == ["One", "Two", "Three"]


async def test_killed_again_and_again_it_shows_everything_once(
    demo: Demo, agent: DesktopAgent, desktop: Desktop
) -> None:
    titles = [f"number {number}" for number in range(12)]
    for number, title in enumerate(titles):
        await send(demo, agent, title)
        if number % 3 == 1:  # in the middle of something, or before it is known that it was shown
            await desktop.next_notification()
            agent.kill()
            agent.spawn()
    await send(demo, agent, "the last one")
    while "the last one" not in shown(desktop):
        await desktop.next_notification()
    assert sorted(shown(desktop)) == sorted([*titles, "the last one"])
    doubts = len(agent.lines("counted_as_shown"))
    proven = len(titles) + 1 - doubts
    told = await states_of(demo, agent, lambda found: found.count("displayed") == proven)
    assert told.count("delivered") == doubts, "what is in doubt is not reported as displayed"


async def test_a_tap_on_what_an_earlier_process_showed(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    await send(demo, agent, "Packed", url=f"{demo.url}/packed", collapse_key="order")
    packed = await desktop.next_notification()  # two that are sent together may come in any order
    await send(demo, agent, "Sale", url=f"{demo.url}/sale")
    sale = await desktop.next_notification()
    assert packed.app_name == sale.app_name == "Fjord & Fern"
    await states(demo, agent, "displayed", "displayed")
    agent.kill()
    await agent.start()
    await send(demo, agent, "Shipped", url=f"{demo.url}/shipped", collapse_key="order")
    shipped = await desktop.next_notification()
    assert shipped.replaces_id == packed.id
    desktop.click(sale)
    await agent.until_opened(f"{demo.url}/sale")
    desktop.click(shipped)
    await agent.until_opened(f"{demo.url}/sale", f"{demo.url}/shipped")
    await demo.receipt(agent.user, "clicked", nth=2)


async def test_over_tls_with_an_authority_of_ones_own(desktop: Desktop, tmp_path: Path) -> None:
    authority, pair = Authority(tmp_path), Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    authority.issue(pair)
    demo = Demo(tmp_path / "demo", pair.settings(), trust=authority.trust())
    await demo.start()
    key = (await demo.call("POST", "/v1/keys", {"kind": "public"}))["key"]
    stranger = DesktopAgent(demo, desktop, tmp_path / "stranger", "ada", key)
    agent = DesktopAgent(demo, desktop, tmp_path / "home", "ada", key, {"SSL_CERT_FILE": str(authority.path)})
    try:
        refused = await stranger.run(*stranger.options)
        assert (refused.code, "does not trust its certificate" in " ".join(refused.err.split())) == (1, True)
        await agent.start()
        await send(demo, agent, "Sealed", url=f"{demo.url}/sealed")
        desktop.click(await desktop.next_notification())
        await states(demo, agent, "clicked")
    finally:
        agent.kill()
        demo.kill()


async def test_a_second_agent_of_the_same_person_on_this_machine_is_refused(agent: DesktopAgent) -> None:
    second = await agent.run(*agent.options)
    assert second.code == 1
    assert "already runs" in second.err
    assert agent.running


async def test_status_tells_of_the_running_agent(demo: Demo, agent: DesktopAgent) -> None:
    [device] = await demo.devices(agent.user)
    told = (await agent.run("status")).out
    for words in ("● running", agent.user, device["id"], demo.url):
        assert words in told
    agent.end()
    assert "not running" in (await agent.run("status")).out


async def test_only_its_owner_can_read_what_it_keeps(agent: DesktopAgent) -> None:
    assert agent.state.stat().st_mode & 0o077 == 0
    assert agent.state.parent.stat().st_mode & 0o077 == 0


async def test_replaced_in_place_and_withdrawn(demo: Demo, agent: DesktopAgent, desktop: Desktop) -> None:
    asked = {"to": {"users": [agent.user]}, "title": "10 stops away"}
    path = f"/v1/notifications/{(await demo.call('POST', '/v1/notifications', asked))['id']}"
    first = await desktop.next_notification()
    await states(demo, agent, "displayed")
    await demo.call("POST", f"{path}/replace", {"title": "3 stops away"})
    second = await desktop.next_notification()
    assert (second.summary, second.replaces_id, "sound-name" in second.hints) == ("3 stops away", first.id, False)
    assert [each.summary for each in desktop.on_screen.values()] == ["3 stops away"]
    await states(demo, agent, "displayed", "displayed")
    agent.kill()
    await agent.start()  # what an earlier process showed is closed too
    await demo.call("POST", f"{path}/withdraw")
    await states(demo, agent, "displayed", "displayed", "delivered")

    async def on_screen() -> int:
        return len(desktop.on_screen)

    await eventually(on_screen, lambda count: count == 0, "the screen to be empty")
