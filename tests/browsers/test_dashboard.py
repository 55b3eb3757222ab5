"""The dashboard as a person uses it: in a real Firefox, from the key to the notification that left, and as it looks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import Firefox, require

from clarion.dashboard.session import PREFIX
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import HttpServer
from contract.support_dashboard import with_dashboard
from story.runs import Runs
from story.world import World, titles

pytestmark = pytest.mark.browser

_PREFS = {"intl.accept_languages": "en", "focusmanager.testmode": True}
_TAB = "\ue004"
_TYPE = """
for (const [name, text] of Object.entries(arguments[0])) document.getElementById(name).value = text;
document.getElementById("compose").dispatchEvent(new Event("input"));
"""
_RULES = "[...document.querySelectorAll('#findings code')].map((one) => one.textContent)"
# What a screen reader cannot name.
_NAMELESS = """
const labelled = (one) => one.labels?.length || one.ariaLabel || one.getAttribute("aria-labelledby");
const named = (one) => labelled(one) || (one.matches("a, button") && one.textContent.trim());
const every = "input:not([type=hidden]), select, textarea, button, a, nav, [role=region], section";
return [...document.querySelectorAll(every)].filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 90));
"""
# WCAG 2 contrast of the text that has the least of it with its ground.
_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (colour) => rgb(colour).slice(0, 3).map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (one) => {
  while (one && rgb(getComputedStyle(one).backgroundColor)[3] < 255) one = one.parentElement;
  return getComputedStyle(one ?? document.body).backgroundColor;
};
const every = "p, h1, h2, b, dt, dd span, td, th, code, label, .pill, .gate, time, summary, .legend li, nav a";
const isRead = (one) => one.innerText?.trim() && !one.closest(".screen, .unseen");
const texts = [...document.querySelectorAll(every)].filter(isRead);
return texts.map((one) => {
  const [high, low] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
  return [(high + 0.05) / (low + 0.05), one.outerHTML.slice(0, 90)];
}).sort((a, b) => a[0] - b[0])[0];
"""


# What is drawn beyond the card that it stands in, unless that scrolls.
_BEYOND = """
const every = [...document.querySelectorAll(".card *")].filter((one) => !one.closest(".scroll, .unseen, .screen"));
const beyond = (one) => one.getBoundingClientRect().right > one.closest(".card").getBoundingClientRect().right + 1;
return every.filter(beyond).map((one) => one.outerHTML.slice(0, 90));
"""
_LONG = "A title that is as long as titles are when nobody thinks of the people who read them on a phone"


class Desk(NamedTuple):
    """A project, and the browser of somebody who runs it."""

    world: World
    firefox: Firefox
    url: str


@pytest.fixture
async def desk(clock: ManualClock, chance: SeededChance, tmp_path: Path) -> AsyncIterator[Desk]:
    require("firefox-esr")
    world = await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")
    for user in ("u1", "u2"):
        await world.subscribe(user)
    await world.define("segments", name="carts", rule={"type": "did", "event": "cart_added"})
    await begins_automations(Runs(world))
    await world.store.users.resolve(world.project.key, ["nobody"], clock.now(), create=True)
    server = HttpServer(with_dashboard(world).app)
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{await server.port()}{PREFIX}"
    async with Firefox(tmp_path / "profile", "ws://127.0.0.1:9/", prefs=_PREFS) as firefox:
        yield Desk(world, firefox, url)
    server.should_exit = True
    await serving


async def begins_automations(on: Runs) -> None:
    """One with ways that part and meet, and somebody at its first step."""
    steps = [
        {"type": "delay", "id": "rest", "for": {"hours": 2}},
        {"type": "branch", "paths": [{"to": "last", "percent": 30}]},
        {"type": "webhook", "url": f"https://shop.example/{'unbroken' * 12}"},
        {"type": "send", "id": "last", "notification": {"title": _LONG}},
    ]
    await on.define("carts", on={"event": "cart_added"}, goal={"event": "order"}, steps=steps)
    await on.happens("u1", "cart_added")


async def signs_in(desk: Desk) -> None:
    _, firefox, url = desk
    await firefox.goto(url)
    assert await firefox.run("return document.activeElement.id") == "key"
    await firefox.run("document.getElementById('key').value = arguments[0]", desk.world.founded.server_key)
    await firefox.press("#key", "\ue007")
    await firefox.wait_for("document.querySelector('h1').textContent === 'Overview'")
    assert await firefox.run("return document.cookie") == "", "no script may read the session"


async def composes_what_is_not_honest_and_is_told(desk: Desk) -> None:
    _, firefox, url = desk
    await firefox.goto(f"{url}/compose")
    await firefox.run(_TYPE, {"title": "LAST CHANCE!!! 50 % off", "body": "Have a look."})
    rules = await firefox.wait_for(f"({_RULES}).length && {_RULES}")
    assert {"urgency", "marks", "claim_percent"} <= set(rules)
    shown = "return ['preview-title', 'title-count'].map((id) => document.getElementById(id).textContent)"
    assert await firefox.run(shown) == ["LAST CHANCE!!! 50 % off", "23 / 65"]
    await firefox.run(_TYPE, {"title": "Lamps are 50 % off", "body": "50 % off all lamps in our shop."})
    await firefox.wait_for(f"!({_RULES}).length")


async def tries_it_out_and_sends_it(desk: Desk) -> None:
    world, firefox, url = desk
    await firefox.click("[name=action][value=try]")
    told = await firefox.wait_for("document.querySelector('#trial .share')?.innerText")
    assert told.split() == ["2", "66.7", "%", "would", "get", "it"]
    cells = "[...document.querySelectorAll('#trial .bars :is(code, td)')]"
    assert await firefox.run(f"return {cells}.map((one) => one.textContent)") == ["send", "2", "no_device", "1"]
    assert world.browser.sent == []

    await firefox.click("[name=action][value=send]")
    await firefox.wait_for("document.querySelector('h1').textContent === 'Lamps are 50 % off'")
    assert await firefox.run("return document.querySelector('.word').textContent") == "running"
    await world.work()
    assert titles(world.browser.sent) == ["Lamps are 50 % off"] * 2
    # The page is not loaded again: it follows.
    await firefox.wait_for("document.querySelector('.word').textContent === 'done'")
    await firefox.goto(f"{url}/notifications")
    listed = "return [...document.querySelectorAll('.list tbody tr')].map((row) => row.querySelector('a').textContent)"
    assert await firefox.run(listed) == ["Lamps are 50 % off"]
    await firefox.click(".list tbody a")
    await firefox.wait_for("document.querySelector('.decisions')")


async def every_page_is_readable(desk: Desk) -> None:
    world, firefox, url = desk
    [notification] = (await world.store.trail.notifications(world.project.key, None, 10)).items
    paths = ("", "/compose", "/notifications", f"/notifications/{notification.id}", "/people?user_id=u1", "/settings")
    paths += (
        "/segments",
        "/segments/carts",
        "/automations",
        "/automations/carts",
        "/automations/carts/cancel?user_id=u1",
    )
    paths += (f"/notifications/{notification.id}/results",)
    for dark in (True, False):
        await firefox.look(dark=dark, width=390, height=800)
        for path in paths:
            await firefox.goto(url + path)
            contrast, where = await firefox.run(_CONTRAST)
            assert contrast >= 4.5, f"WCAG 2.2, 1.4.3: {path} {where}"
            fits = "return document.documentElement.scrollWidth <= innerWidth"
            assert await firefox.run(fits), f"{path} scrolls sideways"
            assert await firefox.run(_NAMELESS) == [], path
            assert await firefox.run(_BEYOND) == [], path
            ground = await firefox.run("return getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(11, 12, 16)") is dark


async def a_run_is_cancelled(desk: Desk) -> None:
    world, firefox, url = desk
    await firefox.look(dark=False, width=1200, height=800)
    await firefox.goto(f"{url}/automations/carts")
    await firefox.click(".list .danger")
    await firefox.wait_for("document.querySelector('h1').textContent === 'Cancel runs of carts'")
    assert await Runs(world).ends("carts") == [None]
    await firefox.click("button.danger")
    told = await firefox.wait_for("document.querySelector('[role=status]')?.innerText")
    assert told.strip() == "1 run was cancelled."
    assert await Runs(world).ends("carts") == ["cancelled"]


async def the_keyboard_is_enough(desk: Desk) -> None:
    _, firefox, url = desk
    await firefox.goto(url)
    await firefox.press("body", _TAB)
    assert await firefox.run("return document.activeElement.className") == "skip"
    await firefox.press(":focus", _TAB)
    assert await firefox.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await firefox.click("#theme")
    chosen = await firefox.run("return document.documentElement.dataset.theme")
    await firefox.goto(f"{url}/settings")
    assert await firefox.run("return document.documentElement.dataset.theme") == chosen


async def signs_out(desk: Desk) -> None:
    _, firefox, url = desk
    await firefox.click(".who button")
    await firefox.wait_for("document.getElementById('key')")
    await firefox.goto(url)
    assert await firefox.run("return location.pathname") == f"{PREFIX}/sign-in"


async def test_a_person_runs_a_project(desk: Desk) -> None:
    """One browser for all: its start takes most of the time."""
    await signs_in(desk)
    await composes_what_is_not_honest_and_is_told(desk)
    await tries_it_out_and_sends_it(desk)
    await every_page_is_readable(desk)
    await a_run_is_cancelled(desk)
    await the_keyboard_is_enough(desk)
    await signs_out(desk)
