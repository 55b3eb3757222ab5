"""Segments and topics through the API: made, looked into, sent to, left in time; on every engine where SQL matters."""

import pytest

from clarion.model import DAY_MS, Event
from clarion.ports import Store
from clarion.testing import ManualClock, SeededChance
from contract.api_world import ApiWorld
from story.world import World, titles

HOUR_MS = 3_600_000


@pytest.fixture
async def shop(store: Store, clock: ManualClock, chance: SeededChance) -> ApiWorld:
    """The API of a project on each engine."""
    return ApiWorld(await World(store, clock, chance).begin())


async def happened(shop: ApiWorld, user_id: str, name: str, ago: int = 0, **properties: object) -> None:
    at = shop.world.clock.now() - ago
    event = Event(user_id=user_id, name=name, properties=properties, occurred_at=at)
    await shop.world.pipeline.ingest(shop.world.project, [event])


async def make(shop: ApiWorld, name: str, **body: object) -> dict:
    made = await shop.server.post("/v1/segments", {"name": name, **body})
    assert made.status == 201, made
    return made.json


async def preview(shop: ApiWorld, **body: object) -> list[str]:
    looked = await shop.server.post("/v1/segments/preview", body)
    assert looked.status == 200, looked
    assert looked.json["count"] == len(looked.json["sample"])
    return looked.json["sample"]


async def send(shop: ApiWorld, **body: object) -> str:
    sent = await shop.server.post("/v1/notifications", {"title": "Hello", **body})
    assert sent.status == 202, sent
    return sent.json["id"]


async def reasons(shop: ApiWorld, id: str) -> dict[str, str]:
    shown = (await shop.server.get(f"/v1/notifications/{id}/decisions")).json["items"]
    return {one["user_id"]: one["reason"] for one in shown}


# --- ready-made segments ----------------------------------------------------------------------------------------------


async def test_an_abandoned_cart_is_one_until_the_order(shop: ApiWorld) -> None:
    made = await make(shop, "carts", ready_made="cart_abandoned", parameters={"within": {"days": 3}})
    assert made["sentence"] == "people who did cart_added in the last 3 days and did not order since"
    await happened(shop, "ada", "cart_added", HOUR_MS)
    await happened(shop, "bob", "cart_added", 2 * HOUR_MS)
    await happened(shop, "bob", "order", HOUR_MS)
    await happened(shop, "cleo", "order", 3 * HOUR_MS)
    await happened(shop, "cleo", "cart_added", 2 * HOUR_MS)  # the order was another cart
    await happened(shop, "dan", "cart_added", 4 * DAY_MS)
    await happened(shop, "eve", "order", HOUR_MS)
    await happened(shop, "eve", "cart_added", HOUR_MS)  # at the same moment: bought
    assert await preview(shop, segment="carts") == ["ada", "cleo"]
    await happened(shop, "ada", "order")
    assert await preview(shop, segment="carts") == ["cleo"]
    later = {"ready_made": "cart_abandoned", "parameters": {"after": {"hours": 3}, "purchase": "paid"}}
    assert await preview(shop, **later) == []
    shop.world.clock.advance(HOUR_MS)
    assert await preview(shop, **later) == ["bob", "cleo"]


async def test_the_other_ready_made_segments(shop: ApiWorld) -> None:
    for name in ("inactive", "new_users", "at_risk_by_recency"):
        await make(shop, name, ready_made=name)
    for user_id in ("ada", "bob"):
        await happened(shop, user_id, "order")
        await happened(shop, user_id, "order", DAY_MS)
    assert await preview(shop, segment="new_users") == ["ada", "bob"]
    shop.world.clock.advance(31 * DAY_MS)
    await happened(shop, "bob", "visit")
    await happened(shop, "cleo", "visit")
    assert await preview(shop, segment="new_users") == ["cleo"]
    assert await preview(shop, segment="inactive") == ["ada"]
    assert await preview(shop, segment="at_risk_by_recency") == ["ada", "bob"]
    await happened(shop, "bob", "order")
    assert await preview(shop, segment="at_risk_by_recency") == ["ada"]
    shop.world.clock.advance(60 * DAY_MS)  # lost
    assert await preview(shop, segment="at_risk_by_recency") == ["bob"]


# --- sent to ----------------------------------------------------------------------------------------------------------


async def test_who_leaves_the_segment_before_their_turn_gets_nothing(shop: ApiWorld) -> None:
    await make(shop, "carts", ready_made="cart_abandoned")
    for user_id in ("ada", "bob", "cleo"):
        await shop.world.subscribe(user_id)
    for user_id in ("ada", "bob"):
        await happened(shop, user_id, "cart_added")
    tried = await shop.server.post("/v1/notifications", {"to": {"segment": "carts"}, "title": "x", "dry_run": True})
    assert tried.json["counts"] == {"send": 2}
    assert ["segment", "pass", "in the segment carts"] in tried.json["decisions"][0]["gates"]

    id = await send(shop, to={"segment": "carts"})
    [found] = await shop.world.due()
    await shop.world.pipeline.step(found)  # who is in it is found out; nobody is decided yet
    await happened(shop, "bob", "order")
    await shop.world.work()
    assert await reasons(shop, id) == {"ada": "send", "bob": "not_in_segment"}
    shown = (await shop.server.get(f"/v1/notifications/{id}/decisions?user_id=bob")).json["items"][0]
    assert shown["gates"][-1] == ["segment", "drop", "not in the segment carts any more"]
    assert titles(shop.world.browser.sent) == ["Hello"]


async def test_a_segment_is_looked_up_when_it_is_to_be_sent(shop: ApiWorld) -> None:
    await make(shop, "fresh", ready_made="new_users")
    await shop.world.subscribe("early")
    id = await send(shop, to={"segment": "fresh"}, send_at="2030-01-01T00:00:00Z")
    await shop.world.work()
    due = (await shop.world.store.work.waiting())["audience"]
    shop.world.clock.advance(due - shop.world.clock.now())
    await shop.world.subscribe("late")
    await shop.world.work()
    assert await reasons(shop, id) == {"late": "send"}


async def test_what_is_armed_for_a_segment_asks_again_who_is_in_it(shop: ApiWorld) -> None:
    """Of those who changed while it was armed; one who came into it is told too."""
    rule = {"type": "consent", "category": "general", "state": "granted"}
    await make(shop, "willing", rule=rule)
    for user_id in ("ada", "bob", "cleo"):
        await shop.world.subscribe(user_id)
        said = {"category": "general", "channel": "push", "granted": user_id != "cleo", "source": "x"}
        await shop.server.put(f"/v1/users/{user_id}/consent", said)
    shop.world.clock.advance(HOUR_MS)
    id = await send(shop, to={"segment": "willing"}, arm=True)
    await shop.world.work()
    shop.world.clock.advance(HOUR_MS)
    for user_id, granted in (("bob", False), ("cleo", True)):
        said = {"category": "general", "channel": "push", "granted": granted, "source": "x"}
        await shop.server.put(f"/v1/users/{user_id}/consent", said)
    await shop.server.post(f"/v1/notifications/{id}/fire")
    await shop.world.work()
    found = await reasons(shop, id)
    assert (found["ada"], found["cleo"]) == ("send", "send")
    assert found["bob"] in ("opted_out", "not_in_segment")
    assert len(shop.world.browser.sent) == 2


async def test_a_large_segment_is_found_out_in_steps(shop: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clarion.journey.audience.FOUND_A_STEP", 3)
    monkeypatch.setattr("clarion.journey.audience.BATCH", 2)
    await shop.server.post("/v1/topics", {"name": "all"})
    people = [f"u{number}" for number in range(7)]
    assert (await shop.server.post("/v1/topics/all/subscribe", {"users": people})).json == {"added": 7}
    id = await send(shop, to={"topic": "all"})
    await shop.world.work()
    assert await reasons(shop, id) == dict.fromkeys(people, "no_device")


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_a_list_is_who_was_put_on_it(shop: ApiWorld) -> None:
    await make(shop, "vip", list=True)
    path = "/v1/segments/vip/users"
    assert (await shop.server.post(path, {"users": ["ada", "bob", "ada"]})).json == {"added": 2}
    assert (await shop.server.post(path, {"users": ["bob", "cleo"]})).json == {"added": 1}
    assert (await shop.server.post(f"{path}/remove", {"users": ["bob", "nobody"]})).json == {"removed": 1}
    first = (await shop.server.get(f"{path}?limit=1")).json
    rest = (await shop.server.get(f"{path}?cursor={first['next_cursor']}")).json
    assert (first["items"], rest) == (["ada"], {"items": ["cleo"], "next_cursor": None})
    others = {"type": "not", "rule": {"type": "segment", "segment": "vip"}}
    assert await preview(shop, rule=others) == ["bob"]
    assert (await shop.server.get("/v1/users/ada/export")).json["segments"] == ["vip"]
    await shop.server.delete("/v1/users/ada")
    assert (await shop.server.get(path)).json["items"] == ["cleo"]
    assert (await shop.server.delete("/v1/segments/vip")).status == 204
    await make(shop, "vip", list=True)
    assert (await shop.server.get(path)).json["items"] == []


# --- topics -----------------------------------------------------------------------------------------------------------


async def test_what_is_sent_to_a_topic_reaches_all_below_it_once_each(shop: ApiWorld) -> None:
    for name in ("sport", "sport/football/arsenal", "sports"):
        assert (await shop.server.post("/v1/topics", {"name": name})).status == 201
    for name, users in (("sport/football/arsenal", ["ada", "bob"]), ("sport", ["bob"]), ("sports", ["cleo"])):
        path = f"/v1/topics/{name.replace('/', '%2F')}"
        await shop.server.post(f"{path}/subscribe", {"users": users})
        assert (await shop.server.get(path)).json["subscribers"] == len(users)
        assert (await shop.server.get(f"{path}/users")).json["items"] == users
    for user_id in ("ada", "bob", "cleo"):
        await shop.world.subscribe(user_id)
    followed = (await shop.server.get("/v1/users/bob/topics")).json
    assert followed == {"items": ["sport", "sport/football/arsenal"], "next_cursor": None}
    id = await send(shop, to={"topic": "sport"})
    await shop.world.work()
    assert await reasons(shop, id) == {"ada": "send", "bob": "send"}
    assert len(shop.world.browser.sent) == 2
    above = await send(shop, to={"topic": "sport/football"})
    [found] = await shop.world.due()
    await shop.world.pipeline.step(found)
    ended = await shop.server.post("/v1/topics/sport%2Ffootball%2Farsenal/unsubscribe", {"users": ["ada", "cleo"]})
    assert ended.json == {"removed": 1}
    await shop.world.work()
    assert await reasons(shop, above) == {"ada": "not_subscribed", "bob": "send"}


async def test_an_sdk_subscribes_its_own_user_to_open_topics(shop: ApiWorld) -> None:
    await shop.server.put("/v1/project", {"allow_plain_users": True})
    await shop.server.post("/v1/topics", {"name": "news", "title": "News", "open": True})
    await shop.server.post("/v1/topics", {"name": "staff"})
    ada = shop.browser.with_headers(Clarion_User="ada")
    shown = {"topic": "news", "title": "News", "description": ""}
    offered = (await shop.browser.get("/v1/sdk/topics")).json
    assert offered == {"items": [{**shown, "subscribed": False}], "next_cursor": None}
    on = await ada.put("/v1/sdk/topics", {"topic": "news", "subscribed": True})
    assert (on.status, on.json["items"]) == (200, [{**shown, "subscribed": True}])
    assert (await shop.server.get("/v1/topics/news/users")).json["items"] == ["ada"]
    assert (
        "no open topic staff"
        in (await ada.put("/v1/sdk/topics", {"topic": "staff", "subscribed": True})).fields["topic"]
    )
    assert (await shop.browser.put("/v1/sdk/topics", {"topic": "news", "subscribed": True})).status == 401
    await ada.put("/v1/sdk/topics", {"topic": "news", "subscribed": False})
    assert (await shop.server.get("/v1/topics/news/users")).json["items"] == []


# --- a person who turns out to be another -----------------------------------------------------------------------------


async def test_lists_follow_a_login_and_the_elder_keeps_their_place_in_the_lot(shop: ApiWorld) -> None:
    world = shop.world
    await shop.server.post("/v1/topics", {"name": "news"})
    half = {"type": "percent", "percent": 50, "key": "test"}
    for number in range(8):
        guest = await world.store.users.create_anonymous(world.project.key, f"guest{number}", world.clock.now())
        await shop.server.post("/v1/topics/news/subscribe", {"users": [guest.user_id]})
        before = guest.user_id in await preview(shop, rule=half)
        world.clock.advance(1000)
        await world.pipeline.merge(world.project, guest, f"known{number}")
        assert (f"known{number}" in await preview(shop, rule=half)) is before, "the guest was there first"
    assert (await shop.server.get("/v1/topics/news/users")).json["items"] == [f"known{number}" for number in range(8)]
    members = await preview(shop, rule=half)
    assert 0 < len(members) < 8
    for number in range(8):
        guest = await world.store.users.create_anonymous(world.project.key, f"later{number}", world.clock.now())
        await world.pipeline.merge(world.project, guest, f"known{number}")
    assert await preview(shop, rule=half) == members, "the known were there first"


# --- edges ------------------------------------------------------------------------------------------------------------


async def test_windows_end_to_the_millisecond(shop: ApiWorld) -> None:
    for ago in (DAY_MS - 1, DAY_MS, DAY_MS + 1, -1):
        await happened(shop, f"ago{ago}", "order", ago)
    day = {"days": 1}
    assert await preview(shop, rule={"type": "did", "event": "order", "within": day}) == [f"ago{DAY_MS - 1}"]
    older = [f"ago{DAY_MS}", f"ago{DAY_MS + 1}"]
    for kind in ("did", "first", "last"):
        assert await preview(shop, rule={"type": kind, "event": "order", "before": day}) == older


async def test_values_of_other_types_make_a_comparison_false(shop: ApiWorld) -> None:
    for number, age in enumerate((5, "5", "x", True, [5], None)):
        await shop.server.put(f"/v1/users/u{number}", {"attributes": {"age": age}})
    for op, value, found in (
        ("gt", 3, ["u0"]),
        ("gte", "5", ["u1", "u2"]),
        ("eq", 5.0, ["u0"]),
        ("contains", 5, ["u4"]),
    ):
        rule = {"type": "attribute", "attribute": "age", "op": op, "value": value}
        assert await preview(shop, rule=rule) == found, op
        others = [f"u{number}" for number in range(6) if f"u{number}" not in found]
        assert await preview(shop, rule={"type": "not", "rule": rule}) == others


async def test_a_rule_of_a_hundred_conditions_is_asked(shop: ApiWorld) -> None:
    """SQLite joins 64 tables and no more."""
    for number in range(100):
        await happened(shop, "ada", f"did_{number}")
    await happened(shop, "bob", "did_1")
    everything = [{"type": "did", "event": f"did_{number}"} for number in range(100)]
    nothing = [{"type": "did_not", "event": f"did_{number}"} for number in range(100)]
    assert await preview(shop, rule={"type": "all", "rules": everything}) == ["ada"]
    assert await preview(shop, rule={"type": "any", "rules": nothing}) == ["bob"]
    await make(shop, "all of it", rule={"type": "all", "rules": everything})
    sent = await send(shop, to={"segment": "all of it"})
    await shop.world.work()
    assert await reasons(shop, sent) == {"ada": "no_device"}
