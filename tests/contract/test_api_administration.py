"""The project, its keys, what each key may do, and that no project ever sees another."""

import pytest

from clarion.crypto.keys import key_hash
from contract.api_world import Api, ApiWorld
from story.world import World

EVENT = {"user_id": "u1", "name": "seen"}


async def test_the_project_is_read_and_changed(api: ApiWorld) -> None:
    before = (await api.server.get("/v1/project")).json
    assert (before["name"], before["identity"], before["identity_secret_set"]) == ("Shop", "none", False)
    change = {
        "name": "New shop",
        "allowed_origins": ["https://shop.example", "http://[::1]:3000"],
        "default_timezone": "UTC",
    }
    changed = await api.server.put("/v1/project", {**change, "identity": None})
    assert changed.json == {**before, **change}
    assert (await api.server.get("/v1/project")).json == changed.json


async def test_caps_are_set_as_a_whole_and_read_back(api: ApiWorld) -> None:
    await api.world.define("categories", name="offers", **{"class": "marketing"})
    caps = [
        {"name": "all", "limit": 3, "per": "day"},
        {"name": "offers", "limit": 1, "per": {"seconds": 86_400}, "category": "offers", "at_cap": "wait"},
    ]
    whole = {"class": None, "category": None, "channel": None, "at_cap": "drop"}
    changed = await api.server.put("/v1/project", {"caps": caps})
    assert changed.json["caps"] == [whole | cap for cap in caps]
    renamed = await api.server.put("/v1/project", {"name": "New shop"})
    assert renamed.json["caps"] == changed.json["caps"]
    assert (await api.server.put("/v1/project", {"caps": []})).json["caps"] == []


ALL = {"name": "all", "limit": 3, "per": "day"}


@pytest.mark.parametrize(
    ("cap", "field", "word"),
    [
        ({"limit": 0}, "caps[1].limit", "1"),
        ({"per": "month"}, "caps[1].per", "day"),
        ({"per": {"seconds": 60 * 86_400 + 1}}, "caps[1].per.seconds", "5184000"),
        ({"per": {"seconds": 0}}, "caps[1].per.seconds", "1"),
        ({"at_cap": "queue"}, "caps[1].at_cap", "drop, wait"),
        ({"name": "all"}, "caps[1].name", "caps[0]"),
        ({"class": None}, "caps[1]", "same window as caps[0]"),
        ({"category": "nowhere"}, "caps[1].category", "no category nowhere"),
        ({"category": "alarms"}, "caps[1].category", "mandatory"),
        ({"class": "mandatory"}, "caps[1].class", "never capped"),
        ({"category": "offers", "class": "informational"}, "caps[1].class", "is marketing"),
        ({"category": "offers", "channel": "sms"}, "caps[1].channel", "does not use"),
        ({"limits": 1}, "caps[1].limits", "not a field"),
    ],
)
async def test_a_cap_that_cannot_be_meant_is_refused_by_name(api: ApiWorld, cap: dict, field: str, word: str) -> None:
    await api.world.define("categories", name="offers", channels=["push"], **{"class": "marketing"})
    await api.world.define("categories", name="alarms", **{"class": "mandatory"})
    refused = await api.server.put("/v1/project", {"caps": [ALL, {"name": "second", "limit": 3, "per": "day"} | cap]})
    assert refused.status == 400, refused
    assert word in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/project")).json["caps"] == []


async def test_a_priority_is_kept_within_its_bounds(api: ApiWorld) -> None:
    sent = {"to": {"users": ["u1"]}, "title": "Hi", "priority": 101}
    assert "100" in (await api.server.post("/v1/notifications", sent)).fields["priority"]
    assert (await api.server.post("/v1/notifications", sent | {"priority": -100})).status == 202


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({"allowed_origins": ["https://shop.example/"]}, "allowed_origins[0]", "origin such as"),
        ({"allowed_origins": ["shop.example"]}, "allowed_origins[0]", "origin such as"),
        ({"identity": "token"}, "identity_secret", "required while identity is token"),
        ({"identity_secret": "short"}, "identity_secret", "32 bytes"),
        ({"identity_secret": "-----BEGIN PUBLIC KEY-----\nAAAA"}, "identity_secret", "PEM"),
        ({"default_timezone": "Mars"}, "default_timezone", "IANA"),
        ({"marketing_consent": "maybe"}, "marketing_consent", "opt_in, opt_out"),
        ({"id": "other"}, "id", "not a field"),
    ],
)
async def test_a_wrong_setting_is_named(api: ApiWorld, body: dict, field: str, word: str) -> None:
    refused = await api.server.put("/v1/project", body)
    assert refused.status == 400, refused
    assert word in refused.fields[field]


async def test_the_identity_secret_is_never_shown_or_stored_in_clear(api: ApiWorld) -> None:
    secret = "an identity secret of the project 42"
    changed = await api.server.put("/v1/project", {"identity": "token", "identity_secret": secret})
    assert changed.json["identity_secret_set"]
    assert secret.encode() not in changed.body
    stored = await api.world.store.projects.get(api.world.project.key)
    assert stored is not None
    assert stored.identity_key is not None
    assert secret.encode() not in stored.identity_key


async def test_a_key_is_shown_once_and_stored_as_its_hash(api: ApiWorld) -> None:
    made = await api.server.post("/v1/keys", {"name": "orders", "scopes": ["send"]})
    assert made.status == 201
    text = made.json["key"]
    assert text.startswith("sk_")
    assert made.json["hint"] == text[-4:]
    listed = (await api.server.get("/v1/keys")).json["items"]
    [mine] = [key for key in listed if key["id"] == made.json["id"]]
    assert (mine["name"], mine["scopes"], mine["revoked_at"]) == ("orders", ["send"], None)
    assert "key" not in mine
    assert await api.world.store.projects.find_key(key_hash(text)) is not None


async def test_a_revoked_key_ends_at_once(api: ApiWorld) -> None:
    made = (await api.server.post("/v1/keys", {})).json
    other = Api(api.app, made["key"])
    assert (await other.get("/v1/project")).status == 200
    assert (await api.server.delete(f"/v1/keys/{made['id']}")).status == 204
    refused = await other.get("/v1/project")
    assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
    assert (await api.server.delete(f"/v1/keys/{made['id']}")).status == 404


async def test_no_key_gives_what_it_does_not_have(api: ApiWorld) -> None:
    small = await api.key(scopes=["admin", "read"])
    assert (await small.post("/v1/keys", {"scopes": ["send"]})).status == 403
    assert (await small.post("/v1/keys", {"scopes": ["*"]})).status == 403
    assert (await small.post("/v1/keys", {})).json["scopes"] == ["admin", "read"]
    public = await small.post("/v1/keys", {"kind": "public"})
    assert public.json["key"].startswith("pk_")
    assert "leave them out" in (await small.post("/v1/keys", {"kind": "public", "scopes": ["read"]})).fields["scopes"]
    assert "must be one of" in (await small.post("/v1/keys", {"scopes": ["fly"]})).fields["scopes[0]"]


async def test_a_key_is_read_and_changed_and_keeps_its_text(api: ApiWorld) -> None:
    made = (await api.server.post("/v1/keys", {"name": "orders", "scopes": ["send"]})).json
    text, path = made.pop("key"), f"/v1/keys/{made['id']}"
    assert (await api.server.get(path)).json == made
    changed = await api.server.put(path, {"scopes": ["read"]})
    assert changed.json == {**made, "scopes": ["read"]}
    assert (await api.server.put(path, {"name": "reports"})).json == {**changed.json, "name": "reports"}
    other = Api(api.app, text)
    assert (await other.get("/v1/project")).status == 200
    assert (await other.post("/v1/events", EVENT)).status == 403


async def test_a_key_is_changed_within_what_the_caller_has(api: ApiWorld) -> None:
    small = await api.key(scopes=["admin", "read"])
    server = (await api.server.post("/v1/keys", {"scopes": ["read"]})).json["id"]
    public = (await api.server.post("/v1/keys", {"kind": "public"})).json["id"]
    assert (await small.put(f"/v1/keys/{server}", {"scopes": ["send"]})).status == 403
    assert "leave them out" in (await api.server.put(f"/v1/keys/{public}", {"scopes": ["read"]})).fields["scopes"]
    assert (await api.server.put(f"/v1/keys/{public}", {"kind": "server"})).fields.keys() == {"kind"}
    await api.server.delete(f"/v1/keys/{server}")
    assert (await api.server.put(f"/v1/keys/{server}", {"name": "again"})).status == 409
    assert (await api.server.put("/v1/keys/nope", {"name": "again"})).status == 404


async def test_keys_come_in_pages(api: ApiWorld) -> None:
    for number in range(3):
        await api.server.post("/v1/keys", {"name": f"k{number}"})
    ids = [key["id"] for key in (await api.server.get("/v1/keys")).json["items"]]
    found, cursor = [], ""
    while cursor is not None:
        page = (await api.server.get(f"/v1/keys?limit=2{cursor and '&cursor='}{cursor}")).json
        assert 0 < len(page["items"]) <= 2
        found += [key["id"] for key in page["items"]]
        cursor = page["next_cursor"]
    assert found == ids
    assert "next_cursor" in (await api.server.get("/v1/keys?cursor=nope")).fields["cursor"]


CALLS = [
    ("read", "GET", "/v1/users/u1", None),
    ("read", "GET", "/v1/users/u1/export", None),
    ("read", "GET", "/v1/users/u1/story", None),
    ("read", "GET", "/v1/users/u1/consent", None),
    ("read", "GET", "/v1/users/u1/devices", None),
    ("read", "GET", "/v1/notifications", None),
    ("read", "GET", "/v1/deliveries", None),
    ("read", "GET", "/v1/categories", None),
    ("read", "GET", "/v1/project", None),
    ("send", "POST", "/v1/events", EVENT),
    ("send", "POST", "/v1/notifications", {"to": {"users": ["u1"]}, "title": "x"}),
    ("send", "POST", "/v1/notifications/nope/cancel", None),
    ("write", "PUT", "/v1/users/u1", {}),
    ("write", "DELETE", "/v1/users/nope", None),
    ("write", "PUT", "/v1/users/u1/consent", {"category": "general", "granted": True, "source": "x"}),
    ("write", "POST", "/v1/devices", {}),
    ("write", "DELETE", "/v1/devices/nope", None),
    ("write", "POST", "/v1/categories", {"name": "x"}),
    ("admin", "PUT", "/v1/project", {}),
    ("admin", "GET", "/v1/keys", None),
    ("admin", "POST", "/v1/keys", {}),
    ("admin", "GET", "/v1/keys/nope", None),
    ("admin", "PUT", "/v1/keys/nope", {}),
    ("admin", "DELETE", "/v1/keys/nope", None),
]


@pytest.mark.parametrize(("scope", "method", "path", "body"), CALLS)
async def test_each_call_needs_its_scope(api: ApiWorld, scope: str, method: str, path: str, body: dict | None) -> None:
    await api.server.put("/v1/users/u1", {})
    others = sorted({"read", "send", "write", "admin"} - {scope})
    lacking, having = await api.key(scopes=others), await api.key(scopes=[scope])
    refused = await lacking.call(method, path, body)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert f"scope {scope}" in refused.json["detail"]
    assert (await having.call(method, path, body)).status not in (401, 403)


@pytest.mark.parametrize(("scope", "method", "path", "body"), CALLS)
async def test_server_calls_need_a_server_key(
    api: ApiWorld, scope: str, method: str, path: str, body: dict | None
) -> None:
    nobody = await api.anyone.call(method, path, body)
    assert (nobody.status, nobody.json["code"]) == (401, "unauthenticated")
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    public = await api.browser.call(method, path, body)
    assert (public.status, public.json["code"]) == (403, "forbidden")
    assert "sk_" in public.json["detail"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer sk_nope", "Basic dTpw", "Bearer sk_" + "A" * 43])
async def test_a_key_that_is_none_is_refused(api: ApiWorld, header: str) -> None:
    for path in ("/v1/project", "/v1/sdk/config"):
        refused = await api.anyone.get(path, headers={"Authorization": header})
        assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
    assert (await api.anyone.post("/v1/events", EVENT, headers={"Authorization": header})).status == 401


async def test_no_project_sees_another(api: ApiWorld) -> None:
    other = ApiWorld(await World(api.world.store, api.world.clock, api.world.chance).begin("Other"))
    device = await api.subscribe("u1")
    sent = (await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})).json["id"]
    key = (await api.server.post("/v1/keys", {})).json["id"]
    await api.server.post("/v1/categories", {"name": "orders"})
    for path in (
        "/v1/users/u1",
        "/v1/users/u1/devices",
        "/v1/users/u1/consent",
        "/v1/users/u1/export",
        "/v1/users/u1/story",
        f"/v1/notifications/{sent}",
        f"/v1/notifications/{sent}/decisions",
        "/v1/categories/orders",
    ):
        stranger = await other.server.get(path)
        nobody = await other.server.get(path.replace("u1", "u9").replace(sent, "0" * 32).replace("orders", "nope"))
        assert stranger.status == nobody.status == 404
        assert stranger.json["detail"].replace("u1", "u9").replace(sent, "0" * 32) == nobody.json["detail"]
    for path in (f"/v1/devices/{device['id']}", f"/v1/keys/{key}", "/v1/users/u1", "/v1/categories/orders"):
        assert (await other.server.delete(path)).status == 404
    assert (await other.server.post(f"/v1/notifications/{sent}/cancel")).status == 404
    assert (
        await other.server.post("/v1/notifications", {"to": {"devices": [device["id"]]}, "title": "x"})
    ).status == 400
    assert (await other.server.get(f"/v1/deliveries?notification_id={sent}")).json["items"] == []
    assert (await api.server.get("/v1/users/u1")).status == 200
