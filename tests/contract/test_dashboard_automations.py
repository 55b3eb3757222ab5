"""Automations in the dashboard: their steps with who is where, how runs end, and the button that ends some."""

import re
from html import unescape
from typing import Any
from unittest.mock import AsyncMock

import pytest

from clarion.dashboard.session import PREFIX
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support_dashboard import Person, reading_key, with_dashboard
from story.runs import DAY, HOUR, Runs
from story.world import World

NASTY = '"><script>alert(1)</script>{{ 7 * 7 }}'
REST = {"type": "delay", "id": "rest", "for": {"hours": 2}}
SEND = {"type": "send", "notification": {"title": "Still there"}}
CART: dict[str, Any] = {"event": "cart_added", "key": "cart"}


@pytest.fixture
async def on(clock: ManualClock, chance: SeededChance) -> Runs:
    return Runs(await World(MemoryStore(clock), clock, chance).begin("Harbour Goods"))


@pytest.fixture
async def person(on: Runs) -> Person:
    person = Person(with_dashboard(on.world))
    await person.sign_in(on.world.founded.server_key)
    return person


def step(person: Person, number: int) -> str:
    """What is to be read of one step."""
    drawn = person.text.split(f'<li id="step-{number}"')[1].split("</div>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", drawn.partition(">")[2])).split())


def bar(person: Person, number: int) -> list[tuple[str, str, str]]:
    """Its bar: class, where it begins and how wide it is."""
    drawn = person.text.split(f'<li id="step-{number}"')[1].split("</li>")[0]
    return re.findall(r'<rect class="(\w+)" x="([\d.]+)" width="([\d.]+)"', drawn)


async def test_the_list_tells_how_runs_begin_and_end(on: Runs, person: Person) -> None:
    await person.get("/automations")
    assert "None yet." in person.words
    await on.define("carts", on=CART, goal={"event": "order", "same": ["cart"]}, steps=[REST, SEND])
    await on.define("thanks", on={"event": "order"}, notification={"title": "Thank you"}, enabled=False)
    for user, cart in (("u1", "a"), ("u2", "b"), ("u3", "c"), ("u3", "d")):
        await on.happens(user, "cart_added", cart=cart)
    await on.happens("u1", "order", cart="a")
    await on.world.store.runs.cancel(on.world.project.key, "carts", None, "b", on.clock.now())
    await person.get("/automations")
    assert "carts Begins at cart_added, one for each cart 0 to the end, 0 left, 1 cancelled on 2 1 50 % 0 0 1" in (
        person.words
    )
    assert "thanks Begins at order off" + 5 * " \N{EN DASH}" in person.words


async def test_many_rows_are_one_question(on: Runs, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        body = {"name": f"a{number:02}", "on": {"event": "joined"}, "steps": [REST, SEND]}
        await on.world.define("automations", **body)
    asked = AsyncMock(wraps=on.world.store.runs.totals)
    monkeypatch.setattr(on.world.store.runs, "totals", asked)
    monkeypatch.setattr(on.world.store.runs, "counts", AsyncMock(side_effect=AssertionError("one by one")))
    await person.get("/automations")
    assert asked.await_count == 1
    assert "a49" in person.words
    assert "a50" not in person.words
    further = unescape(re.findall(r'class="button" href="([^"]*)"', person.text)[-1])
    await person.get(further.removeprefix(PREFIX))
    assert "a50" in person.words
    assert "a49" not in person.words


async def test_the_steps_are_drawn_with_who_is_there_and_how_many_went_on(on: Runs, person: Person) -> None:
    gold = {"type": "attribute", "attribute": "plan", "op": "eq", "value": "gold"}
    steps = [
        REST,
        {"type": "branch", "paths": [{"to": "gold", "if": gold}]},
        {**SEND, "next": "last"},
        {"type": "send", "id": "gold", "notification": {"title": "For you"}},
        {"type": "wait", "id": "last", "for": {"event": "visit"}, "timeout": {"days": 2}, "on_timeout": "out"},
        {"type": "exit", "id": "out"},
    ]
    await on.define("carts", on=CART, goal={"event": "order"}, steps=steps)
    for user, plan in (("u1", "gold"), ("u2", "free"), ("u3", "free"), ("u4", "free")):
        await on.person(user, plan=plan)
        await on.happens(user, "cart_added", cart="a")
    await on.pass_(3 * HOUR)
    await on.happens("u5", "cart_added", cart="a")
    await on.happens("u2", "visit")
    await on.happens("u3", "order")
    await person.get("/automations/carts")
    assert step(person, 1) == "1 Step 1: Wait 2 hours rest 1 here now 4 went on"
    assert step(person, 2) == '2 Step 2: Branch 4 went on people whose plan is "gold" → 4 gold else → 3'
    assert step(person, 3) == "3 Step 3: Send “Still there” 0 to 4 went on → 5 last"
    assert step(person, 4) == "4 Step 4: Send “For you” gold 0 to 4 went on"
    assert step(person, 5) == (
        "5 Step 5: Wait for visit, at most 2 days last 2 here now 1 went on 1 reached the goal"
        " if it comes → 6 out if it does not → 6 out"
    )
    assert step(person, 6) == "6 Step 6: End out 1 went on"
    assert bar(person, 1) == [("shown", "0.0", "80.0"), ("queued", "80.0", "20.0")]
    assert bar(person, 3) == [("sent", "0.0", "80.0")]
    assert bar(person, 5) == [("shown", "0.0", "20.0"), ("queued", "20.0", "40.0")]
    # The line goes on to the step below where a run can.
    joined = re.findall(r'id="step-(\d)" class="\w+( joined)?', person.text)
    assert [number for number, down in joined if down] == ["1", "2", "4", "5", "6"]
    assert "Under way 3 runs now Ended 2 1 went to the end Goal 50 % 1 of those that ended" in person.words
    assert "Reached the goal goal 1 Went to the end done 1" in person.words
    assert f'href="{PREFIX}/people?user_id=u5">u5</a>' in unescape(person.text)


async def test_versions_are_shown_with_the_runs_that_are_on_them(on: Runs, person: Person) -> None:
    await on.define("carts", on=CART, steps=[REST, SEND])
    await on.happens("u1", "cart_added", cart="a")
    await on.define("carts", on=CART, steps=[{**REST, "for": {"hours": 5}}, SEND])
    await on.happens("u2", "cart_added", cart="a")
    await person.get("/automations/carts")
    assert "2 1 on earlier versions" in person.words
    assert "Version 2 newest shown 1 under way, 0 ended Version 1 1 under way, 0 ended" in person.words
    assert step(person, 1) == "1 Step 1: Wait 5 hours rest 1 here now 0 went on"
    await person.get("/automations/carts?version=1")
    assert "Steps of version 1" in person.words
    assert step(person, 1) == "1 Step 1: Wait 2 hours rest 1 here now 0 went on"
    assert (await person.get("/automations/carts?version=3")).status == 404
    for odd in ("-1", "x", "9" * 40, "²"):
        assert (await person.get(f"/automations/carts?version={odd}")).status == 200


async def test_one_without_steps_has_no_runs(on: Runs, person: Person) -> None:
    await on.define("thanks", on={"event": "order"}, notification={"title": "Thank you"})
    await on.happens("u1", "order")
    await person.get("/automations/thanks")
    assert "1 Step 1: Send “Thank you”" in person.words
    assert "Without steps there are no runs" in person.words
    assert "Newest runs" not in person.words


async def test_runs_are_found_by_person_and_key_and_cancelled_when_they_were_looked_at(
    on: Runs, person: Person
) -> None:
    await on.define("carts", on=CART, steps=[REST, SEND])
    for user, cart in (("u1", "a"), ("u2", "a"), ("u1", "b"), ("u3", "c")):
        await on.happens(user, "cart_added", cart=cart)
    await on.world.store.runs.cancel(on.world.project.key, "carts", None, "c", on.clock.now())

    def shown() -> list[str]:
        return re.findall(r"user_id=(\w+)\">\1</a>", unescape(person.text))

    await person.get("/automations/carts")
    assert shown() == ["u3", "u1", "u2", "u1"]
    assert "Cancel these" not in person.words
    await person.get("/automations/carts?key=a")
    assert shown() == ["u2", "u1"]
    assert f'formaction="{PREFIX}/automations/carts/cancel">Cancel these' in unescape(person.text)
    await person.get("/automations/carts?user_id=u1&key=b")
    assert shown() == ["u1"]
    for nobody in ("user_id=gone", "user_id=u3&key=a"):
        await person.get(f"/automations/carts?{nobody}")
        assert "None fits." in person.words
    # Asking ends nothing yet.
    await person.get("/automations/carts/cancel?user_id=&key=a")
    assert shown() == ["u2", "u1"]
    assert "Cancel these 2 runs" in person.words
    assert await on.ends("carts") == [None, None, None, "cancelled"]
    await person.submit("/automations/carts/cancel")
    assert await on.ends("carts") == ["cancelled", "cancelled", None, "cancelled"]
    assert "2 runs were cancelled." in person.words
    await person.get("/automations/carts/cancel?key=a")
    assert "No such run is under way." in person.words
    assert "Cancel th" not in person.words
    await on.pass_(DAY)
    assert on.said() == []  # nobody of them has a device


async def test_a_run_without_a_key_is_cancelled_by_its_person(on: Runs, person: Person) -> None:
    await on.define("hello", on={"event": "joined"}, steps=[REST, SEND])
    for user in ("u1", "u2"):
        await on.happens(user, "joined")
    await person.get("/automations/hello")
    way = re.findall(r'class="danger" href="([^"]*)"', person.text)[-1]
    await person.get(unescape(way).removeprefix(PREFIX))
    assert "Under way of u1" in person.words
    await person.submit("/automations/hello/cancel")
    assert "1 run was cancelled." in person.words
    assert await on.ends("hello") == ["cancelled", None]


@pytest.mark.parametrize("fields", [{}, {"key": ""}, {"user_id": " ", "key": ""}])
async def test_all_runs_at_once_are_never_cancelled_here(on: Runs, person: Person, fields: dict[str, str]) -> None:
    await on.define("hello", on={"event": "joined"}, steps=[REST, SEND])
    await on.happens("u1", "joined")
    await person.get("/automations/hello")
    token = person.token
    assert (await person.get("/automations/hello/cancel?key=&user_id=")).status == 400
    assert "key: or user_id is needed" in person.words
    assert (await person.post("/automations/hello/cancel", **token, **fields)).status == 400
    await person.post("/automations/hello/cancel", **token, user_id="nobody")
    assert "0 runs were cancelled." in person.words
    assert await on.ends("hello") == [None]


async def test_nothing_ends_without_the_page_s_own_form_or_the_scope(on: Runs, person: Person) -> None:
    await on.define("hello", on={"event": "joined"}, steps=[REST, SEND])
    await on.happens("u1", "joined")
    assert (await person.post("/automations/hello/cancel", user_id="u1")).status == 403
    await person.sign_in(await reading_key(on.world))
    await person.get("/automations/hello")
    assert "Cancel" not in person.words.replace("Cancelled", "")
    token = person.token
    assert (await person.get("/automations/hello/cancel?user_id=u1")).status == 403
    assert (await person.post("/automations/hello/cancel", **token, user_id="u1")).status == 403
    assert await on.ends("hello") == [None]


async def test_another_project_s_automations_are_not_found(on: Runs, person: Person) -> None:
    world = on.world
    other = Runs(await World(world.store, world.clock, world.chance).begin("Other"))
    for name in ("theirs", "both"):
        await other.define(name, on={"event": "joined"}, steps=[REST, SEND])
    await other.happens("stranger", "joined")
    await on.define("both", on={"event": "joined"}, steps=[REST, SEND])
    await person.get("/automations")
    assert "theirs" not in person.words
    assert "both Begins at joined 0 to the end, 0 left, 0 cancelled on 0" in person.words
    token = person.token
    for name in ("theirs", "gone"):
        for path in (f"/automations/{name}", f"/automations/{name}/cancel?user_id=stranger"):
            assert (await person.get(path)).status == 404
        assert (await person.post(f"/automations/{name}/cancel", **token, user_id="stranger")).status == 404
    await person.get("/automations/both")
    assert "stranger" not in person.text
    await person.post("/automations/both/cancel", **token, user_id="stranger")
    assert await other.ends("theirs") == [None]


async def test_what_others_wrote_stays_text(on: Runs, person: Person) -> None:
    nasty = {"type": "send", "id": NASTY, "notification": {"title": "{{ '" + NASTY.partition("{")[0] + "' }}"}}
    hook = {"type": "webhook", "url": "https://x.example/?<script>alert(1)</script>"}
    await on.define("sale & more", description=NASTY, on=CART, steps=[REST, nasty, hook])
    await on.happens(NASTY, "cart_added", cart=NASTY)
    for path in ("", "/sale%20%26%20more", "/sale%20%26%20more/cancel?user_id=" + "%22%3E%3Cscript%3Ealert(1)"):
        assert (await person.get(f"/automations{path}")).status == 200
        assert "<script>alert" not in person.text
    await person.get("/automations/sale%20%26%20more")
    assert NASTY in unescape(person.text)
    way = unescape(re.findall(r'class="danger" href="([^"]*)"', person.text)[0])
    await person.get(way.removeprefix(PREFIX))
    assert "<script>alert" not in person.text
    await person.submit("/automations/sale%20%26%20more/cancel")
    assert "1 run was cancelled." in person.words
    await person.get("/automations/sale%20%26%20more?cancelled=%3Cscript%3E")
    assert "cancelled." not in person.words
