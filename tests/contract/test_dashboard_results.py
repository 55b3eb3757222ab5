"""Results in the dashboard: rates with where they may lie, drawn to one scale, and who is ahead, if anybody is."""

import re
from html import unescape
from typing import Any

import pytest

from clarion.dashboard.session import PREFIX
from clarion.model import (
    Audience,
    Campaign,
    Event,
    Experiment,
    Goal,
    Holdout,
    Message,
    Notification,
    Variant,
    Winner,
)
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support_dashboard import Person, with_dashboard
from story.world import World

NASTY = '"><script>alert(1)</script>{{ 7 * 7 }}'
HOUR_S = 3_600
BOUGHT = Goal(event="bought", within_s=HOUR_S)
VARIANTS = [Variant(key="plain", title="New lamps"), Variant(key="friendly", title="A lamp for you")]


@pytest.fixture
async def world(clock: ManualClock, chance: SeededChance) -> World:
    return await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")


@pytest.fixture
async def person(world: World) -> Person:
    person = Person(with_dashboard(world))
    await person.sign_in(world.founded.server_key)
    return person


async def send(world: World, people: int, **more: Any) -> Notification:
    users = [f"x{number}" for number in range(people)]
    for user in users:
        await world.subscribe(user)
    message = Message(**({"title": "Lamps", "variants": VARIANTS, "experiment": Experiment(goal=BOUGHT)} | more))
    made = await world.pipeline.notify(world.project, message, Audience(users=users))
    await world.work()
    return made


async def buys(world: World, made: Notification, variant: str, share: float) -> int:
    """A part of those who got a variant."""
    mine = [one.user_id for one in await world.decisions(made) if f'"{variant}"' in one.gates]
    some = mine[: round(share * len(mine))]
    now = world.clock.now()
    await world.pipeline.ingest(world.project, [Event(user_id=one, name="bought", occurred_at=now) for one in some])
    return len(some)


async def test_before_anybody_is_settled_nothing_is_compared(world: World, person: Person) -> None:
    made = await send(world, 4)
    await person.get(f"/notifications/{made.id}")
    assert f"{PREFIX}/notifications/{made.id}/results" in unescape(person.text)
    await person.get(f"/notifications/{made.id}/results")
    assert "success: bought within 1 hour" in person.words
    assert "Nothing to compare yet" in person.words
    assert "plain New lamps nobody yet 0 of 0 settled" in person.words
    assert 'class="dot"' not in person.text


async def test_a_clear_one_is_ahead_and_drawn_where_it_lies(world: World, person: Person) -> None:
    made = await send(world, 400)
    bought = {key: await buys(world, made, key, share) for key, share in (("plain", 0.05), ("friendly", 0.6))}
    world.clock.advance(HOUR_S * 1000)
    await person.get(f"/notifications/{made.id}/results")
    assert "friendly is ahead: clear of all others, however often you look." in person.words
    people = dict(
        re.findall(r"(\w+) (?:New lamps|A lamp for you) [\d.]+ % [\d.]+ % to \d+ % \d+ of (\d+) settled", person.words)
    )
    assert sum(map(int, people.values())) == 400
    assert re.search(r"friendly A lamp for you 60 % \d+ % to \d+ %", person.words)
    assert re.search(r"\+5\d\.\d points \(\+\d+\.\d to \+\d+\.\d\) against plain", person.words)
    assert f"{bought['friendly']} of {people['friendly']} settled" in person.words
    # All on one scale, with the dot inside of its whisker.
    spans = re.findall(r'class="reach" d="M([\d.]+) 8h([\d.]+)"', person.text)
    dots = re.findall(r'class="dot" d="M([\d.]+) 8', person.text)
    top = int(re.findall(r"<li>(\d+) %</li></ol>", person.text)[0])
    assert top == 100
    assert [round(float(at) * top / 100) for at in dots] == [5, 60]
    for (left, width), at in zip(spans, dots, strict=True):
        assert float(left) < float(at) < float(left) + float(width) <= 100


async def test_where_nobody_is_ahead_the_page_says_so(world: World, person: Person) -> None:
    made = await send(world, 60, holdout=Holdout(key="h", percent=20))
    await buys(world, made, "plain", 0.2)
    await buys(world, made, "friendly", 0.4)
    world.clock.advance(HOUR_S * 1000)
    await person.get(f"/notifications/{made.id}/results")
    assert "Nobody is ahead yet. friendly has the highest rate so far, and that may still be chance." in person.words
    assert "control got nothing: the control group 0 %" in person.words
    assert "against control" in person.words


async def test_equal_rates_and_a_single_wording_are_told_as_what_they_are(world: World, person: Person) -> None:
    made = await send(world, 6)
    world.clock.advance(HOUR_S * 1000)
    await person.get(f"/notifications/{made.id}/results")
    assert "Nobody is ahead: the rates are the same so far." in person.words
    one = await world.notify("x1", experiment=Experiment(goal=BOUGHT))
    await world.work()
    await person.get(f"/notifications/{one.id}")
    assert "Results" not in person.words
    world.clock.advance(HOUR_S * 1000)
    await person.get(f"/notifications/{one.id}/results")
    assert "There is one wording only" in person.words


async def test_taps_are_no_rate_of_who_got_nothing(world: World, person: Person) -> None:
    goal = Experiment(goal=Goal(within_s=90))
    made = await send(world, 40, experiment=goal, holdout=Holdout(key="h", percent=50))
    world.clock.advance(90_000)
    await person.get(f"/notifications/{made.id}/results")
    assert "success: a tap within 90 seconds" in person.words
    assert "control got nothing: the control group cannot tap what it did not get" in person.words


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("best_rate", "took over"),
        ("separates", "Nobody won"),
    ],
)
async def test_the_winner_is_told_before_and_after(world: World, person: Person, rule: Any, said: str) -> None:
    winner = Winner(rule=rule, after=2 * HOUR_S, share=50)
    made = await send(world, 40, experiment=Experiment(goal=BOUGHT, winner=winner), ttl=86_400)
    await person.get(f"/notifications/{made.id}/results")
    assert "50 % get it first; what takes over is chosen" in person.words
    await buys(world, made, "plain", 0.3)
    world.clock.advance(2 * HOUR_S * 1000)
    await world.work()
    await person.get(f"/notifications/{made.id}/results")
    assert said in person.words
    if rule == "best_rate":
        assert "for the highest rate then, clear of the others or not" in person.words
        assert re.search(r"plain took over .* \d+ people got it for that and are in no figure here", person.words)


async def test_a_campaign_shows_its_wordings_and_leads_to_the_results_of_its_runs(world: World, person: Person) -> None:
    await world.subscribe("x1")
    message = Message(title="Lamps", variants=VARIANTS)
    campaign = Campaign(name="lamps", notification=message, to=Audience(users=["x1"]))
    await world.pipeline.campaigns.create(world.project, campaign)
    await person.get("/campaigns/lamps")
    assert "plain New lamps friendly A lamp for you" in person.words
    assert "/results" not in unescape(person.text)
    await person.submit("/campaigns/lamps/start")
    [run] = (await world.store.trail.notifications(world.project.key, None, 10)).items
    assert unescape(person.text).count(f"{PREFIX}/notifications/{run.id}/results") == 2
    await person.get(f"/notifications/{run.id}/results")
    assert "a run of lamps" in person.words


async def test_another_project_s_results_are_not_found(world: World, person: Person) -> None:
    other = await World(world.store, world.clock, world.chance).begin("Other")
    made = await send(other, 2)
    for id in (made.id, "none"):
        assert (await person.get(f"/notifications/{id}/results")).status == 404


async def test_what_others_wrote_stays_text(world: World, person: Person) -> None:
    told = "{{ '" + NASTY.partition("{")[0] + "' }}"
    made = await send(world, 2, title=told, variants=[Variant(key="a", title=told), Variant(key="b", title=told)])
    for path in ("", "/results"):
        assert (await person.get(f"/notifications/{made.id}{path}")).status == 200
        assert "<script>alert" not in person.text
    assert "alert(1)" in unescape(person.text)
