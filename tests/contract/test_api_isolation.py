"""Whatever route is called with the ids of another project: nothing is found there, and nothing changes."""

from typing import Any, NamedTuple

import pytest
from litestar.routes import HTTPRoute

from clarion.api.examples import BODIES
from clarion.api.routes import framework
from clarion.model import DeviceKind
from clarion.testing import ManualClock, SeededChance
from contract.api_world import Api, ApiWorld, subscription
from contract.support import stoppage
from contract.support_credentials import apns_token
from story.world import World

# Pages for people; and broadcasts, since the push service's own tables belong to devices, not to projects.
ELSEWHERE = {"/errors/{code}", "/unsubscribe/{token}", "/preferences/{token}", "/v1/push/broadcasts/{broadcast_id}"}
# A user id is the caller's own word: another project may use the same, and gets a user of its own.
MAKES_ITS_OWN = {("PUT", f"/v1/users/{{user_id}}{rest}") for rest in ("", "/consent", "/preferences")}
MAKES_ITS_OWN |= {("POST", "/v1/users/{user_id}/preferences_link")}
DEFINED: dict[str, dict[str, Any]] = {
    "templates": {"locales": {"en": {"title": "x"}}},
    "partials": {"locales": {"en": "x"}},
    "segments": {"rule": {"type": "attribute", "attribute": "plan", "op": "exists"}},
    "topics": {},
    "campaigns": {"to": {"everyone": True}, "notification": {"title": "x"}},
    "automations": {"on": {"event": "e"}, "notification": {"title": "x"}},
}
"""What has a name, and what one needs at least."""


class Call(NamedTuple):
    """A route that takes an id of something."""

    method: str
    path: str
    operation: str


def calls_with_an_id() -> list[Call]:
    return sorted(
        Call(method, route.path_format, handler.handler_name)
        for route in framework().routes
        if isinstance(route, HTTPRoute) and route.path_parameters and route.path_format not in ELSEWHERE
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    )


class Victim(NamedTuple):
    """A project with one of everything, and the ids of it."""

    api: ApiWorld
    ids: dict[str, str]
    anonymous: str

    async def everything(self) -> list[Any]:
        """All that its own keys can see."""
        paths = [f"/v1/{kind}" for kind in ("project", "keys", "credentials", "categories", "deliveries", *DEFINED)]
        paths += ["/v1/automations/theirs/counts", "/v1/segments/list/users", "/v1/topics/theirs/users"]
        paths += [f"/v1/notifications{rest}" for rest in ("", "/{id}", "/{id}/decisions")]
        paths += [
            f"/v1/users/victim{rest}" for rest in ("", "/export", "/story", "/consent", "/preferences", "/devices")
        ]
        answers = [await self.api.server.get(path.replace("{id}", self.ids["notification_id"])) for path in paths]
        assert {answer.status for answer in answers} == {200}
        return [answer.json for answer in answers]


@pytest.fixture
async def victim(api: ApiWorld) -> Victim:
    device = await api.subscribe("victim")
    await api.server.put("/v1/users/victim/consent", {"category": "general", "granted": True, "source": "x"})
    await api.server.post("/v1/categories", {"name": "theirs"})
    for kind, body in DEFINED.items():
        assert (await api.server.post(f"/v1/{kind}", {"name": "theirs", **body})).status == 201
    await api.server.post("/v1/segments", {"name": "list", "list": True})
    for path in ("segments/list/users", "topics/theirs/subscribe"):
        assert (await api.server.post(f"/v1/{path}", {"users": ["victim"]})).status == 200
    await api.world.credential(DeviceKind.APNS, apns_token(), "theirs")
    sent = (await api.server.post("/v1/notifications", {"to": {"users": ["victim"]}, "title": "Hello"})).json["id"]
    await api.world.work()
    key = (await api.server.post("/v1/keys", {})).json["id"]
    anonymous = (await api.browser.post("/v1/sdk/devices", subscription("anonymous"))).json["user_token"]
    ids = {
        "user_id": "victim",
        "device_id": device["id"],
        "notification_id": sent,
        "name": "theirs",
        "key_id": key,
    }
    return Victim(api, ids, anonymous)


@pytest.fixture
async def stranger(api: ApiWorld, clock: ManualClock, chance: SeededChance) -> ApiWorld:
    """Another project in the same installation, which believes plain user ids."""
    other = ApiWorld(await World(api.world.store, clock, chance).begin("Other"))
    await other.server.put("/v1/project", {"allow_plain_users": True})
    await other.server.put("/v1/users/mallory", {})
    return other


@pytest.mark.parametrize("call", calls_with_an_id(), ids=lambda call: f"{call.method} {call.path}")
async def test_an_id_of_another_project_is_found_by_nobody(call: Call, victim: Victim, stranger: ApiWorld) -> None:
    before = await victim.everything()
    caller = stranger.browser.with_headers(Clarion_User="mallory") if "/sdk/" in call.path else stranger.server
    answer = await caller.call(call.method, call.path.format(**victim.ids), BODIES.get(call.operation))
    wanted = (200, 201) if (call.method, call.path) in MAKES_ITS_OWN else (404,)
    assert answer.status in wanted, answer
    assert b"nothing at this path" not in answer.body
    assert await victim.everything() == before


async def test_the_routes_with_ids_are_all_there() -> None:
    assert len(calls_with_an_id()) > 20
    assert {(call.method, call.path) for call in calls_with_an_id()} >= MAKES_ITS_OWN


async def test_lists_and_filters_show_nothing_of_another_project(victim: Victim, stranger: ApiWorld) -> None:
    for query in ("", "?user_id=victim", f"?notification_id={victim.ids['notification_id']}"):
        assert (await stranger.server.get(f"/v1/deliveries{query}")).json["items"] == []
    await victim.api.world.store.stoppages.put(stoppage(victim.api.world.project.key))
    for path in ("/v1/notifications", "/v1/alerts"):
        assert (await victim.api.server.get(path)).json["items"] != []
        assert (await stranger.server.get(path)).json["items"] == []
    named = {"to": {"devices": [victim.ids["device_id"]]}, "title": "x"}
    assert (await stranger.server.post("/v1/notifications", named)).fields.keys() == {"to.devices[0]"}


async def test_what_is_armed_is_not_fired_by_another_project(victim: Victim, stranger: ApiWorld) -> None:
    body = {"to": {"users": ["victim"]}, "title": "Goal!", "arm": True}
    path = f"/v1/notifications/{(await victim.api.server.post('/v1/notifications', body)).json['id']}"
    await victim.api.world.work()
    sent = len(victim.api.world.browser.sent)
    assert (await stranger.server.post(f"{path}/fire", None)).status == 404
    assert (await stranger.server.post(f"{path}/replace", {"body": "x"})).status == 404
    assert (await stranger.server.post(f"{path}/withdraw", None)).status == 404
    await victim.api.world.work()
    assert (await victim.api.server.get(path)).json["state"] == "armed"
    assert len(victim.api.world.browser.sent) == sent


@pytest.mark.parametrize("header", ["Clarion-User", "Clarion-Anonymous"])
async def test_the_secret_of_an_anonymous_user_is_none_in_another_project(
    header: str, victim: Victim, stranger: ApiWorld
) -> None:
    await stranger.server.put("/v1/project", {"allow_plain_users": header == "Clarion-Anonymous"})
    caller = Api(
        stranger.app, headers={**stranger.browser.headers, "Clarion-User": "mallory", header: victim.anonymous}
    )
    assert (await caller.post("/v1/sdk/devices", subscription("taken"))).status == 401


async def test_a_device_is_not_taken_over_by_its_address(victim: Victim, stranger: ApiWorld) -> None:
    before = await victim.everything()
    theirs = subscription("victim")
    moved = await stranger.server.post("/v1/devices", {"user_id": "mallory", **theirs})
    assert moved.status == 201
    rotated = {**subscription("new"), "previous_address": theirs["address"], "user_id": "mallory"}
    assert (await stranger.server.post("/v1/devices", rotated)).json["id"] == moved.json["id"]
    assert await victim.everything() == before
