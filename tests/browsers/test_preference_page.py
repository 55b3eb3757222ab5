"""The preference page as a person uses it: in a real Firefox, light and dark, and as it is read out."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from clarion_server import eventually
from harness import Firefox, require

from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import ORIGIN, ApiWorld, HttpServer
from story.world import World

pytestmark = pytest.mark.browser

# What a screen reader says of each control: its role, its name with the group around it, and whether it is on.
_TOLD = """
return [...document.querySelectorAll("input:not([type=hidden]), button")].map((one) => {
  const group = one.closest("fieldset")?.querySelector("legend").textContent.trim() ?? "";
  const named = document.getElementById(one.getAttribute("aria-labelledby"));
  const name = (named ?? one.labels?.[0] ?? one).textContent.trim().replace(/\\s+/g, " ");
  return [group, name, one.getAttribute("role") ?? one.type, one.checked ?? false, one.disabled];
});
"""


_PREFS = {
    "intl.accept_languages": "en",
    "focusmanager.testmode": True,
}  # also a window that nobody looks at has a focus
_TAB = "\ue004"
_OUTLINE = "return getComputedStyle(document.querySelector('[name=quiet]')).outlineStyle;"


class Visit(NamedTuple):
    """The page of one person, and the browser that can open it."""

    api: ApiWorld
    firefox: Firefox
    url: str


@pytest.fixture
async def visit(clock: ManualClock, chance: SeededChance, tmp_path: Path) -> AsyncIterator[Visit]:
    require("firefox-esr")
    api = ApiWorld(await World(MemoryStore(clock), clock, chance).begin("Harbour Goods"))
    define = api.world.define
    await define("categories", name="general", title="Orders", description="When it is on its way.", channels=["push"])
    await define("categories", name="offers", title="Offers", channels=["push", "email"], **{"class": "marketing"})
    await define("categories", name="security", title="Sign-ins", channels=["push"], **{"class": "mandatory"})
    link = (await api.server.post("/v1/users/u1/preferences_link")).json["url"]
    server = HttpServer(api.app)
    serving = asyncio.create_task(server.serve())
    url = link.replace(ORIGIN, f"http://127.0.0.1:{await server.port()}")
    async with Firefox(tmp_path / "profile", "ws://127.0.0.1:9/", prefs=_PREFS) as firefox:
        yield Visit(api, firefox, url)
    server.should_exit = True
    await serving


async def saves(firefox: Firefox) -> None:
    await firefox.click(".save button")
    told = partial(firefox.run, "return document.querySelector('[role=status]')?.textContent ?? ''")
    await eventually(told, lambda text: text.startswith("Saved."), "it is saved")


async def switches_pauses_saves_and_loads_again(visit: Visit) -> None:
    api, firefox, url = visit
    await firefox.goto(url)
    assert [one for one in await firefox.run(_TOLD) if one[2] == "switch"][:5] == [
        ["Offers", "Push", "switch", False, False],
        ["Offers", "E-mail", "switch", False, False],
        ["Orders", "Push", "switch", True, False],
        ["Sign-ins Always on", "Push", "switch", True, True],
        ["", "Pause all marketing for 30 days", "switch", False, False],
    ]
    await firefox.click("input[name=on][value='offers/email']")
    await firefox.click("label:has([name=pause]) strong")  # the words switch too
    await firefox.press("input[name=pause]", _TAB)
    assert await firefox.run(_OUTLINE) == "solid", "the keyboard's place is not to be seen"
    await firefox.press("input[name=quiet]", " ")
    await saves(firefox)
    own = (await api.server.get("/v1/users/u1/preferences")).json
    assert own["quiet_hours"] == {"start": "22:00", "end": "08:00", "days": None}
    assert own["marketing_paused_until"] is not None
    [line] = (await api.server.get("/v1/users/u1/consent")).json["ledger"]
    assert (line["category"], line["channel"], line["granted"]) == ("offers", "email", True)

    await firefox.goto(url)
    on = [one[0] + one[1] for one in await firefox.run(_TOLD) if one[3]]
    assert "OffersE-mail" in on
    assert "OffersPush" not in on
    assert len([one for one in on if one.startswith(("Pause", "Quiet"))]) == 2
    assert "Paused until" in await firefox.run("return document.body.innerText")
    await firefox.click("input[name=pause]")
    await saves(firefox)
    assert (await api.server.get("/v1/users/u1/preferences")).json["marketing_paused_until"] is None


# WCAG 2 contrast of every text with its background, the smallest.
_CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (one) => {
  while (one && (numbers(getComputedStyle(one).backgroundColor)[3] ?? 1) === 0) one = one.parentElement;
  return getComputedStyle(one ?? document.body).backgroundColor;
};
const every = "p, h1, h2, legend, strong, .about, .until, .always, button, label > span";
const texts = [...document.querySelectorAll(every)];
return Math.min(...texts.filter((one) => one.innerText?.trim()).map((one) => {
  const [high, low] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}));
"""


async def is_readable_in_light_and_dark_and_at_phone_width(visit: Visit) -> None:
    _, firefox, url = visit
    for dark in (True, False):
        await firefox.look(dark=dark, width=390, height=800)
        await firefox.goto(url)
        assert await firefox.run(_CONTRAST) >= 4.5, "WCAG 2.2, 1.4.3"
        assert await firefox.run("return document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        ground = await firefox.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(11, 12, 16)") is dark


async def test_a_person_uses_the_page(visit: Visit) -> None:
    """One browser for both: its start takes most of the time."""
    await switches_pauses_saves_and_loads_again(visit)
    await is_readable_in_light_and_dark_and_at_phone_width(visit)
