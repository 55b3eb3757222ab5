"""The same calls on every engine: what the API takes, each of them stores and gives back alike."""

import msgspec
import pytest

from clarion.ports import Store
from clarion.testing import ManualClock, SeededChance
from contract.api_world import Api, ApiWorld
from story.world import World

KEY = {"Idempotency-Key": "k1"}
ODD = {
    "text": "ü\u2028\U0001f514 'quoted' \"twice\" \\",
    "number": -0.5,
    "big": 2**70,
    "none": None,
    "list": [True, {}],
}


@pytest.fixture
async def on_engine(store: Store, clock: ManualClock, chance: SeededChance) -> ApiWorld:
    return ApiWorld(await World(store, clock, chance).begin())


async def test_a_journey_through_the_api(on_engine: ApiWorld) -> None:
    api, server = on_engine, on_engine.server
    user = await server.put(
        "/v1/users/ü%2F1", {"attributes": ODD, "timezone": "Europe/Vienna", "email": "a@example.org"}
    )
    given = {name: value for name, value in ODD.items() if value is not None}
    assert (user.status, user.json["attributes"]) == (201, given)
    device = await api.subscribe("ü/1", address="https://updates.example.com/1", installation="i1")
    await server.put("/v1/users/ü%2F1/consent", {"category": "general", "granted": True, "source": "form"})
    events = [{"user_id": "ü/1", "name": "ordered", "properties": ODD, "id": f"e{number % 2}"} for number in range(3)]
    assert (await server.post("/v1/events", {"events": events})).json == {"accepted": 2, "duplicates": 1, "errors": []}

    body = {"to": {"users": ["ü/1", "u2"]}, "title": "Hello {{ user.number }}", "data": ODD}
    sent = await server.post("/v1/notifications", body, headers=KEY)
    assert (await server.post("/v1/notifications", body, headers=KEY)).body == sent.body
    assert (await server.post("/v1/notifications", {**body, "title": "x"}, headers=KEY)).status == 422
    await api.world.work()
    shown = (await server.get(f"/v1/notifications/{sent.json['id']}")).json
    assert (shown["state"], shown["counts"]["reasons"]) == ("done", {"send": 1, "no_device": 1})
    assert shown["request"]["data"] == ODD

    token = msgspec.json.decode(api.world.browser.sent[0].ready.payload)["receipt"]
    assert (await api.anyone.post("/v1/receipts", {"receipt": token, "kind": "clicked"})).json["accepted"] == 1
    export = (await server.get("/v1/users/ü%2F1/export")).json
    assert [one["id"] for one in export["devices"]] == [device["id"]]
    assert [one["state"] for one in export["deliveries"]] == ["clicked"]
    assert {one["id"] for one in export["events"]} == {"e0", "e1"}
    assert (await server.get("/v1/users/ü%2F1/story")).status == 200
    assert (await server.delete("/v1/users/ü%2F1")).status == 204
    assert (await server.get("/v1/deliveries?user_id=ü%2F1")).json["items"] == []


@pytest.mark.parametrize(
    "path", ["/v1/categories", "/v1/notifications", "/v1/deliveries", "/v1/templates", "/v1/automations"]
)
async def test_a_made_up_cursor_is_refused_or_harmless(on_engine: ApiWorld, path: str) -> None:
    for cursor in ("nonsense", "-1", "9" * 30, "1.2.3", "%F0%9F%94%94"):
        answer = await on_engine.server.get(f"{path}?cursor={cursor}")
        assert answer.status in (200, 400), answer
        if answer.status == 400:
            assert list(answer.fields) == ["cursor"]


async def test_a_project_its_keys_and_definitions(on_engine: ApiWorld) -> None:
    server = on_engine.server
    settings = {"name": "Shop 2", "allowed_origins": ["https://shop.example"], "marketing_consent": "opt_out"}
    assert settings.items() <= (await server.put("/v1/project", settings)).json.items()
    made = (await server.post("/v1/keys", {"name": "k", "scopes": ["read"]})).json
    assert (await Api(on_engine.app, made["key"]).get("/v1/project")).json["name"] == "Shop 2"
    assert (await server.delete(f"/v1/keys/{made['id']}")).status == 204
    assert (await Api(on_engine.app, made["key"]).get("/v1/project")).status == 401
    for name in ("b", "a", "c"):
        await server.post("/v1/templates", {"name": name, "locales": {"en": {"title": "x"}}})
    first = (await server.get("/v1/templates?limit=2")).json
    rest = (await server.get(f"/v1/templates?limit=2&cursor={first['next_cursor']}")).json
    assert [one["name"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]


async def test_an_anonymous_browser_logs_in(on_engine: ApiWorld) -> None:
    await on_engine.server.put("/v1/project", {"allow_plain_users": True})
    told = {"kind": "webpush", "permission": "denied", "installation": "i1"}
    made = (await on_engine.browser.post("/v1/sdk/devices", told)).json
    me = on_engine.browser.with_headers(Clarion_User=made["user_token"])
    await me.put("/v1/sdk/preferences", {"category": "general", "granted": False})
    login = on_engine.browser.with_headers(Clarion_User="u1", Clarion_Anonymous=made["user_token"])
    assert (await login.post("/v1/sdk/devices", told)).json["id"] == made["id"]
    [general] = (await login.get("/v1/sdk/preferences")).json["categories"]
    assert set(general["channels"].values()) == {False}
    assert (await me.get("/v1/sdk/preferences")).status == 401
