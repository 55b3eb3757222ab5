"""Segments in the dashboard: what each means, how many it has, who they are, and the way to write to them."""

from html import unescape
from unittest.mock import AsyncMock

import pytest

from clarion.dashboard import recent
from clarion.dashboard.session import PREFIX
from clarion.model import Permission
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support_dashboard import Person, reading_key, with_dashboard
from story.world import World

NASTY = '"><script>alert(1)</script>{{ 7 * 7 }}'
CARTS = {
    "ready_made": "cart_abandoned",
    "parameters": {"event": "cart_added", "purchase": "order", "within": {"days": 3}, "after": None},
    "rule": {"type": "did", "event": "cart_added", "within": {"days": 3}},
    "exit": {"type": "did", "event": "order", "since": {"last": "cart_added"}},
}


@pytest.fixture
async def world(clock: ManualClock, chance: SeededChance) -> World:
    world = await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")
    for user in ("u1", "u2"):
        await world.subscribe(user)
    await world.subscribe("u3", permission=Permission.DENIED)
    await world.store.users.resolve(world.project.key, ["nobody"], clock.now(), create=True)
    return world


@pytest.fixture
async def person(world: World) -> Person:
    person = Person(with_dashboard(world))
    await person.sign_in(world.founded.server_key)
    return person


async def test_the_list_tells_what_each_means_and_how_many_it_has(world: World, person: Person) -> None:
    await person.get("/segments")
    assert "None yet." in person.words
    await world.define("segments", name="carts", **CARTS)
    await world.define("segments", name="press")
    await world.store.audiences.add(world.project.key, "list", "press", ["u1", "u2", "u3"], world.clock.now())
    await world.happens("u1", "cart_added")
    await person.get("/segments")
    assert "of 4 people" in person.words
    sentence = "people who did cart_added in the last 3 days and did not order since"
    assert f"carts {sentence} cart_abandoned rule cart_abandoned 1 25 %" in person.words
    assert "press people on a list list list 3 75 %" in person.words


async def test_sizes_are_a_minute_old_at_most_unless_the_segment_changed(world: World, person: Person) -> None:
    rule = {"type": "did", "event": "cart_added"}
    await world.define("segments", name="carts", rule=rule)

    async def size() -> str:
        await person.get("/segments")
        return person.words.split("rule rule ")[1].split()[0]

    assert await size() == "0"
    await world.happens("u1", "cart_added")
    world.clock.advance(59_999)
    assert await size() == "0"
    world.clock.advance(1)
    assert await size() == "1"
    await world.define("segments", name="carts", rule={"type": "not", "rule": rule})
    assert await size() == "3"


async def test_many_rows_ask_no_more_often_than_a_few(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = AsyncMock(wraps=world.store.audiences.counts)
    monkeypatch.setattr(world.store.audiences, "counts", counting)
    monkeypatch.setattr(world.store.audiences, "page", AsyncMock(side_effect=AssertionError("one by one")))
    for number in range(25):
        await world.define("segments", name=f"s{number:02}", rule={"type": "created", "within": {"days": 9}})
    await person.get("/segments")
    assert counting.await_count == 20 / recent.SIZES_AT_ONCE
    assert "s19" in person.words
    assert "s20" not in person.words
    further = unescape(person.text).split('class="button" href="')[-1].split('"')[0]
    await person.get(further.removeprefix(PREFIX))
    assert "s20" in person.words
    assert "s19" not in person.words


async def test_what_there_is_no_time_for_is_counted_when_the_page_is_loaded_again(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(recent.SIZES_AT_ONCE + 1):
        await world.define("segments", name=f"s{number}", rule={"type": "created", "within": {"days": 9}})
    with monkeypatch.context() as hurried:
        hurried.setattr(recent, "PATIENCE_S", 0.0)
        await person.get("/segments")
        assert f"There was no time for {recent.SIZES_AT_ONCE + 1} of them" in person.words
        assert "in the last 9 days rule rule \N{EN DASH}" in person.words
    await person.get("/segments")
    assert "There was no time" not in person.words
    # What is known costs no time.
    monkeypatch.setattr(recent, "PATIENCE_S", 0.0)
    await person.get("/segments")
    assert person.words.count("rule rule 4 100 %") == recent.SIZES_AT_ONCE + 1


async def test_one_segment_shows_who_is_in_it_and_how_they_are_reached(world: World, person: Person) -> None:
    await world.define("segments", name="carts", description="Left behind", **CARTS)
    for user in ("u1", "u2", "u3", "nobody"):
        await world.happens(user, "cart_added")
    await world.happens("u2", "order")
    await person.get("/segments/carts")
    words = person.words
    assert "Left behind" in words
    assert "people who did cart_added in the last 3 days and did not order since" in words
    assert "Ready-made: cart_abandoned, people who put something into the cart and did not buy since" in words
    assert "3 75 % of 4 people" in words
    assert "In it 3 Not in it 1" in words
    assert "1 of them (33.3 %) by a device that may show something" in words
    assert "Web webpush 1" in words
    assert "No device that may show anything none 2" in words
    assert "In people who did cart_added in the last 3 days" in words
    assert "Out people who did order since their last cart_added" in words
    assert "within 3 days after not set" in words
    assert f'<a href="{PREFIX}/people?user_id=nobody">nobody</a>' in unescape(person.text)
    assert '<rect class="clicked" x="0" width="75.0" height="8"/>' in person.text


async def test_an_empty_segment_and_one_beyond_the_sample(world: World, person: Person) -> None:
    await world.define("segments", name="press")
    await person.get("/segments/press")
    assert "people on a list" in person.words
    assert "There is nobody in it now." in person.words
    people = [f"p{number}" for number in range(25)]
    await world.store.audiences.add(world.project.key, "list", "press", people, world.clock.now())
    await person.get("/segments/press")
    assert "Those known for longest, and 5 more." in person.words


async def test_the_button_leads_to_compose_with_the_segment_chosen(world: World, person: Person) -> None:
    await world.define("segments", name="a", rule={"type": "created", "within": {"days": 9}})
    await world.define("segments", name="b & c", rule={"type": "user", "field": "user_id", "op": "eq", "value": "u1"})
    await person.get("/segments/b%20%26%20c")
    way = unescape(person.text).split('class="button primary" href="')[1].split('"')[0]
    await person.get(way.removeprefix(PREFIX))
    assert '<option value="b &amp; c" selected>' in person.text
    assert '<input type="radio" name="to" value="segment" checked>' in person.text
    await person.submit("/compose", action="try", title="Hello", to="segment", segment="b & c")
    assert "1 person, looked at in" in person.words
    # Nobody is offered another audience than the one that was asked for without a word.
    assert (await person.get("/compose?to=segment&segment=gone")).status == 404
    assert "there is no segment gone" in person.words


async def test_who_may_not_send_is_offered_no_button(world: World, person: Person) -> None:
    await world.define("segments", name="press")
    await person.sign_in(await reading_key(world))
    assert (await person.get("/segments/press")).status == 200
    assert "Compose to this segment" not in person.words


async def test_another_project_s_segments_are_not_found(world: World, person: Person) -> None:
    other = await World(world.store, world.clock, world.chance).begin("Other")
    await other.define("segments", name="theirs", rule={"type": "created", "within": {"days": 9}})
    await world.define("segments", name="press")
    await other.define("segments", name="press")
    await other.store.audiences.add(other.project.key, "list", "press", ["stranger"], world.clock.now())
    await person.get("/segments")
    assert "theirs" not in person.words
    for name in ("theirs", "gone"):
        assert (await person.get(f"/segments/{name}")).status == 404
        assert f"There is no segment {name} in this project." in person.words
    await person.get("/segments/press")
    assert "stranger" not in person.text
    assert "of 4 people" in person.words


async def test_what_others_wrote_stays_text(world: World, person: Person) -> None:
    rule = {"type": "user", "field": "user_id", "op": "in", "value": [NASTY, "u1"]}
    await world.define("segments", name="odd", description=NASTY, rule=rule)
    await world.define("segments", name=NASTY.replace("/", ""), rule=rule)
    await world.store.users.resolve(world.project.key, [NASTY], world.clock.now(), create=True)
    for path in ("/segments", "/segments/odd", "/compose?to=segment&segment=odd"):
        assert (await person.get(path)).status == 200
        assert "alert(1)" in unescape(person.text)
        assert "<script>alert" not in person.text
        assert "49" not in person.words
