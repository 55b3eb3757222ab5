"""Campaigns in the dashboard: what the pages say of them, and the buttons that move them."""

import re
from html import unescape
from typing import Any
from unittest.mock import AsyncMock

import pytest

from clarion.dashboard.session import PREFIX
from clarion.model import Audience, Campaign, CampaignGoal, Message, Schedule
from clarion.ports import Page
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support_dashboard import Person, with_dashboard
from story.world import World, payload

NASTY = '"><script>alert(1)</script>{{ 7 * 7 }}'
HOUR_MS = 3_600_000


@pytest.fixture
async def world(clock: ManualClock, chance: SeededChance) -> World:
    world = await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")
    for user in ("u1", "u2"):
        await world.subscribe(user)
    return world


@pytest.fixture
async def person(world: World) -> Person:
    person = Person(with_dashboard(world))
    await person.sign_in(world.founded.server_key)
    return person


async def define(world: World, name: str = "spring", title: str = "New shoes", **more: Any) -> None:
    more.setdefault("to", Audience(everyone=True))
    await world.pipeline.campaigns.create(
        world.project, Campaign(name=name, notification=Message(title=title, body="For rain."), **more)
    )


async def state(world: World, name: str = "spring") -> str:
    return str((await world.pipeline.campaigns.get(world.project.key, name)).state)


def buttons(person: Person) -> list[str]:
    return re.findall(r"<button[^>]*>([^<]*)</button></form>", unescape(person.text))


async def test_a_campaign_is_started_and_its_figures_move(world: World, person: Person) -> None:
    await define(world, goal=CampaignGoal(event="order", within=3_600))
    await person.get("/campaigns")
    assert "spring New shoes" in person.words
    assert "draft" in person.words
    await person.get("/campaigns/spring")
    assert "Everyone · once, as it is started" in person.words
    assert "None has begun." in person.words
    assert [one for one in buttons(person) if "Sign" not in one] == ["Start it"]
    await person.submit("/campaigns/spring/start")
    await world.work()
    assert sorted(payload(message)["title"] for message in world.browser.sent) == ["New shoes"] * 2
    await person.get("/campaigns/spring/progress")
    assert "<html" not in unescape(person.text)
    assert "2 of 2 decided" in person.words
    assert "Sent 2" in person.words
    decisions, deliveries = person.words.split("Deliveries by state")
    assert "Send send 2" in decisions
    assert "Accepted by the push service accepted 2" in deliveries
    assert "0 did order in time" in person.words
    await person.get("/campaigns/spring")
    [run] = (await world.store.trail.notifications(world.project.key, None, 10)).items
    assert f"{PREFIX}/notifications/{run.id}" in unescape(person.text)
    assert run.sent_by is not None
    await person.get("/notifications")
    assert "by spring" in person.words


async def test_pause_resume_and_cancel_are_there_when_they_can_be(world: World, person: Person) -> None:
    await define(world, schedule=Schedule(at=world.clock.now() + HOUR_MS))
    await person.get("/campaigns/spring")
    for word, then, next_ in (
        ("start", "scheduled", ["Pause", "Cancel it"]),
        ("pause", "paused", ["Go on", "Cancel it"]),
        ("resume", "scheduled", ["Pause", "Cancel it"]),
        ("cancel", "cancelled", []),
    ):
        await person.submit(f"/campaigns/spring/{word}")
        assert await state(world) == then
        assert [one for one in buttons(person) if "Sign" not in one] == next_
    assert (await person.post("/campaigns/spring/resume", **person.token)).status == 409
    assert "is cancelled and cannot be resumed" in person.words


async def test_nothing_moves_without_the_page_s_own_form(world: World, person: Person) -> None:
    await define(world)
    await person.get("/campaigns/spring")
    assert (await person.post("/campaigns/spring/start")).status == 403
    assert await state(world) == "draft"
    assert (await person.get("/campaigns/nothing")).status == 404
    assert (await person.post("/campaigns/spring/explode", **person.token)).status == 404


async def test_audiences_and_schedules_are_told_in_words(world: World, person: Person) -> None:
    await world.define("segments", name="fans", rule={"type": "created", "within": {"days": 9}})
    await world.define("topics", name="news")
    await define(world, "a", to=Audience(segment="fans"), schedule=Schedule(cron="0 9 * * 1", timezone="Europe/Berlin"))
    await define(world, "b", to=Audience(topic="news"))
    await person.get("/campaigns")
    assert "Segment fans · 0 9 * * 1 in Europe/Berlin" in person.words
    assert "Topic news" in person.words


async def test_what_others_wrote_stays_text(world: World, person: Person) -> None:
    await define(world, "sale & more", title=NASTY)
    for path in ("/campaigns", "/campaigns/sale%20%26%20more"):
        assert (await person.get(path)).status == 200
        assert NASTY in unescape(person.text)
        assert "<script>alert" not in person.text
    await person.submit("/campaigns/sale%20%26%20more/start")
    await world.work()
    assert await state(world, "sale & more") == "running"


@pytest.mark.parametrize("noun", ["campaigns", "automations", "segments"])
async def test_the_way_to_the_next_page_holds_any_name(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch, noun: str
) -> None:
    last = "sale & more #1 + 50 %"
    pages = world.store.campaigns if noun == "campaigns" else world.store.definitions
    asked = AsyncMock(return_value=Page([], last))
    monkeypatch.setattr(pages, "page", asked)
    await person.get(f"/{noun}")
    further = re.findall(r'class="button" href="([^"]*)">Further', person.text)
    await person.get(unescape(further[0]).removeprefix(PREFIX))
    assert last in asked.await_args_list[-1].args
