"""The device side: who a browser is, its devices and preferences, and which sites may ask."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.config import Settings
from clarion.testing.clock import START
from contract.api_world import ORIGIN, Api, ApiWorld, subscription
from story.world import World

SECRET = "an identity secret of the project 42"
SITE = "https://shop.example"
SOON = START // 1000 + 3600


def signed(user_id: str = "u1", secret: object = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode({"sub": user_id, "exp": SOON, **claims}, secret, algorithm)


async def with_identity(api: ApiWorld, secret: str = SECRET) -> ApiWorld:
    changed = await api.server.put("/v1/project", {"identity": "token", "identity_secret": secret})
    assert changed.status == 200
    return api


def as_user(api: ApiWorld, token: str) -> Api:
    return api.browser.with_headers(Clarion_User=token)


async def test_the_config_has_what_an_sdk_needs(api: ApiWorld) -> None:
    await api.world.define("categories", name="offers", title="Offers", **{"class": "marketing", "channels": ["push"]})
    config = (await api.browser.get("/v1/sdk/config")).json
    assert config["project"] == "Shop"
    assert config["vapid_public_key"] == api.world.project.vapid_public_key
    assert config["receipts_url"] == f"{ORIGIN}/v1/receipts"
    assert config["push_url"] == "ws://127.0.0.1:8701/"
    assert config["plain_users"] is False
    offers = next(one for one in config["categories"] if one["name"] == "offers")
    assert offers == {
        "name": "offers",
        "title": "Offers",
        "description": "",
        "class": "marketing",
        "default": False,
        "channels": ["push"],
        "locked": False,
    }


async def test_sdk_calls_need_a_public_key(api: ApiWorld) -> None:
    for path in ("/v1/sdk/config", "/v1/sdk/preferences"):
        assert (await api.anyone.get(path)).status == 401
        refused = await api.server.get(path)
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
        assert "must never leave the server" in refused.json["detail"]
    assert (await api.server.post("/v1/sdk/events", {"name": "x"})).status == 403
    assert (await api.anyone.post("/v1/sdk/events", {"name": "x"})).status == 401


# --- who is there ----------------------------------------------------------------------------------------------------


async def test_nobody_becomes_an_anonymous_user_with_a_secret(api: ApiWorld) -> None:
    made = await api.browser.post("/v1/sdk/devices", subscription())
    assert made.status == 201
    assert made.json["user_id"].startswith("anon_")
    me = as_user(api, made.json["user_token"])
    again = await me.post("/v1/sdk/devices", {**subscription(), "address": made.json["address"]})
    assert (again.status, again.json["id"]) == (200, made.json["id"])
    assert "user_token" not in again.json
    assert (await me.post("/v1/sdk/events", {"name": "seen"})).status == 202
    user = (await api.server.get(f"/v1/users/{made.json['user_id']}")).json
    assert user["anonymous"] is True


async def test_a_signed_user_token_says_who_it_is(api: ApiWorld) -> None:
    await with_identity(api)
    made = await as_user(api, signed("u1")).post("/v1/sdk/devices", subscription())
    assert (made.status, made.json["user_id"]) == (201, "u1")
    assert "user_token" not in made.json


async def test_es256_tokens_work_with_an_uploaded_key(api: ApiWorld) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    await with_identity(api, pem)
    told = await as_user(api, signed("u1", key, "ES256")).post("/v1/sdk/events", {"name": "seen"})
    assert told.status == 202
    # The public key is no secret: nobody may sign with it.
    forged = jwt.encode({"sub": "u1", "exp": SOON}, "x" * 32, "HS256")
    assert (await as_user(api, forged).post("/v1/sdk/events", {"name": "seen"})).status == 401


@pytest.mark.parametrize(
    "token",
    [
        signed(secret="another identity secret of 32 bytes"),
        signed(exp=START // 1000 - 1),
        signed(exp=START // 1000 + 30 * 3600),
        jwt.encode({"sub": "u1"}, SECRET, "HS256"),
        jwt.encode({"sub": "u1", "exp": SOON}, None, "none"),
        signed(user_id=""),
        signed(user_id="u\0"),
        signed(user_id="u\ud800"),
        "eyJ.eyJ.x",
        "u1",
        "a" * 64,
        "",
    ],
)
async def test_what_proves_nothing_is_refused(api: ApiWorld, token: str) -> None:
    await with_identity(api)
    for refused in (
        await as_user(api, token).post("/v1/sdk/devices", subscription()),
        await as_user(api, token).get("/v1/sdk/preferences"),
        await as_user(api, token).post("/v1/sdk/events", {"name": "seen"}),
    ):
        assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
        assert "Clarion-User" in refused.json["detail"]


async def test_a_token_needs_a_project_that_can_check_it(api: ApiWorld) -> None:
    refused = await as_user(api, signed()).get("/v1/sdk/preferences")
    assert refused.status == 401
    assert "no identity secret" in refused.json["detail"]


async def test_plain_user_ids_are_believed_where_that_is_allowed(api: ApiWorld) -> None:
    assert (await as_user(api, "u1").post("/v1/sdk/devices", subscription())).status == 401
    await api.server.put("/v1/project", {"allow_plain_users": True})
    made = await as_user(api, "u1").post("/v1/sdk/devices", subscription())
    assert (made.status, made.json["user_id"]) == (201, "u1")
    assert (await api.browser.get("/v1/sdk/config")).json["plain_users"] is True
    long = await as_user(api, "x" * 256).post("/v1/sdk/devices", subscription())
    assert "Clarion-User" in long.fields

    await api.server.put("/v1/project", {"allow_plain_users": False})
    everywhere = ApiWorld(api.world, Settings(public_url=ORIGIN, allow_plain_users=True))
    umlaut = as_user(everywhere, "jürgen")
    assert (await umlaut.post("/v1/sdk/devices", subscription("other"))).json["user_id"] == "jürgen"


async def test_an_anonymous_secret_is_worth_nothing_in_another_project(api: ApiWorld) -> None:
    other = ApiWorld(await World(api.world.store, api.world.clock, api.world.chance).begin("Other"))
    token = (await api.browser.post("/v1/sdk/devices", subscription())).json["user_token"]
    assert (await as_user(other, token).get("/v1/sdk/preferences")).status == 401


# --- login -----------------------------------------------------------------------------------------------------------


async def test_at_login_the_anonymous_user_merges(api: ApiWorld) -> None:
    await with_identity(api)
    told = subscription()
    anonymous = (await api.browser.post("/v1/sdk/devices", told)).json
    me = as_user(api, anonymous["user_token"])
    await me.put("/v1/sdk/preferences", {"category": "general", "channel": "push", "granted": False})
    await me.post("/v1/sdk/events", {"name": "seen"})

    login = as_user(api, signed("u1")).with_headers(Clarion_Anonymous=anonymous["user_token"])
    made = await login.post("/v1/sdk/devices", told)
    assert (made.status, made.json["id"], made.json["user_id"]) == (200, anonymous["id"], "u1")
    export = (await api.server.get("/v1/users/u1/export")).json
    assert [event["name"] for event in export["events"]] == ["seen"]
    assert [(line["category"], line["granted"]) for line in export["consents"]] == [("general", False)]

    assert (await api.server.get(f"/v1/users/{anonymous['user_id']}")).status == 404
    gone = await me.get("/v1/sdk/preferences")
    assert gone.status == 401
    assert "merged" in gone.json["detail"]
    assert (await login.post("/v1/sdk/devices", told)).status == 200  # the SDK may say it again


async def test_only_an_anonymous_user_of_this_project_merges(api: ApiWorld) -> None:
    await with_identity(api)
    known = as_user(api, signed("u1"))
    for token in ("nonsense", signed("u2"), api.world.anonymous.make(99, 1)):
        refused = await known.with_headers(Clarion_Anonymous=token).post("/v1/sdk/devices", subscription())
        assert refused.status == 401
        assert "Clarion-Anonymous" in refused.json["detail"]
    u2 = await api.server.put("/v1/users/u2", {})
    assert u2.status == 201
    user = await api.world.store.users.get(api.world.project.key, "u2")
    assert user is not None
    not_anonymous = api.world.anonymous.make(api.world.project.key, user.key)
    made = await known.with_headers(Clarion_Anonymous=not_anonymous).post("/v1/sdk/devices", subscription())
    assert made.json["user_id"] == "u1"
    assert (await api.server.get("/v1/users/u2")).status == 200


# --- devices, preferences, events ------------------------------------------------------------------------------------


async def test_a_caller_removes_its_own_devices_only(api: ApiWorld) -> None:
    await with_identity(api)
    mine = (await as_user(api, signed("u1")).post("/v1/sdk/devices", subscription())).json["id"]
    assert (await as_user(api, signed("u2")).delete(f"/v1/sdk/devices/{mine}")).status == 404
    assert (await api.browser.delete(f"/v1/sdk/devices/{mine}")).status == 401
    assert (await as_user(api, signed("u1")).delete(f"/v1/sdk/devices/{mine}")).status == 204
    assert (await as_user(api, signed("u1")).delete(f"/v1/sdk/devices/{mine}")).status == 404


async def test_the_body_does_not_say_who_the_caller_is(api: ApiWorld) -> None:
    refused = await api.browser.post("/v1/sdk/devices", {"user_id": "u1", **subscription()})
    assert "Clarion-User" in refused.fields["user_id"]
    token = (await api.browser.post("/v1/sdk/devices", subscription())).json["user_token"]
    event = await as_user(api, token).post("/v1/sdk/events", {"user_id": "u1", "name": "x"})
    assert "user_id" in event.fields


async def test_preferences_are_switched_one_by_one_or_together(api: ApiWorld) -> None:
    await api.world.define(
        "categories", name="offers", title="Offers", **{"class": "marketing", "channels": ["push", "email"]}
    )
    await api.world.define("categories", name="security", **{"class": "mandatory", "channels": ["push"]})
    await with_identity(api)
    me = as_user(api, signed("u1"))
    nobody = (await api.browser.get("/v1/sdk/preferences")).json["categories"]
    assert {one["category"]: one["channels"] for one in nobody}["offers"] == {"push": False, "email": False}

    one = await me.put("/v1/sdk/preferences", {"category": "offers", "channel": "push", "granted": True})
    assert one.status == 200
    offers = next(entry for entry in one.json["categories"] if entry["category"] == "offers")
    assert (offers["channels"], offers["locked"], offers["class"]) == (
        {"push": True, "email": False},
        False,
        "marketing",
    )
    assert {"category": "security", "channel": "push", "granted": True, "locked": True} in one.json["preferences"]

    many = {
        "preferences": [
            {"category": "offers", "granted": True},
            {"category": "general", "channel": "push", "granted": False},
        ],
        "source": "sdk_prompt",
        "wording": "Tell me about offers",
    }
    assert (await me.put("/v1/sdk/preferences", many)).json == (await me.get("/v1/sdk/preferences")).json
    ledger = (await api.server.get("/v1/users/u1/consent")).json["ledger"]
    assert {(line["category"], line["channel"], line["granted"]) for line in ledger} == {
        ("offers", "push", True),
        ("offers", "email", True),
        ("general", "push", False),
    }
    assert ledger[-1]["source"] == "sdk_prompt"
    assert ledger[-1]["wording"] == "Tell me about offers"


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({"category": "nope", "granted": True}, "category", "must be one of"),
        ({"category": "security", "granted": False}, "granted", "cannot be switched off"),
        ({"category": "security", "channel": "sms", "granted": True}, "channel", "must be one of push"),
        ({"category": "general"}, "granted", "is required"),
        ({"preferences": []}, "preferences", "at least 1 "),
        ({"preferences": [{"category": "nope", "granted": True}]}, "preferences[0].category", "must be one of"),
        ({"preferences": [{"category": "general", "granted": 1}]}, "preferences[0].granted", "true or false"),
        ({"category": "general", "granted": True, "source": "me"}, "source", "sdk_preferences"),
    ],
)
async def test_a_wrong_switch_is_named_and_none_is_turned(api: ApiWorld, body: dict, field: str, word: str) -> None:
    await api.world.define("categories", name="security", **{"class": "mandatory", "channels": ["push"]})
    token = (await api.browser.post("/v1/sdk/devices", subscription())).json["user_token"]
    refused = await as_user(api, token).put("/v1/sdk/preferences", body)
    assert refused.status == 400, refused
    assert word in refused.fields[field]


async def test_behaviour_events_are_of_the_callers_own_user(api: ApiWorld) -> None:
    await with_identity(api)
    me = as_user(api, signed("u1"))
    assert (await me.post("/v1/sdk/events", {"name": "one"})).json["accepted"] == 1
    batch = await me.post("/v1/sdk/events", {"events": [{"name": "two"}, {"nam": "three"}]})
    assert (batch.json["accepted"], batch.json["errors"][0]["field"]) == (1, "events[1].nam")
    events = (await api.server.get("/v1/users/u1/export")).json["events"]
    assert {event["name"] for event in events} == {"one", "two"}
    assert (await api.browser.post("/v1/sdk/events", {"name": "x"})).status == 401


async def test_an_id_of_a_page_uses_up_none_of_a_server_or_of_others(api: ApiWorld) -> None:
    await with_identity(api)
    paid = {"name": "order_paid", "id": "pay-991"}
    thief, other = as_user(api, signed("thief")), as_user(api, signed("u2"))
    counted = [(await who.post("/v1/sdk/events", paid)).json["accepted"] for who in (thief, thief, other)]
    assert counted == [1, 0, 1]
    taken = await api.server.post("/v1/events", {**paid, "user_id": "u1"})
    assert (taken.json["accepted"], taken.json["duplicates"]) == (1, 0)


# --- which sites may ask ---------------------------------------------------------------------------------------------

SDK_PATHS = ("/v1/sdk/config", "/v1/sdk/devices", "/v1/sdk/preferences", "/v1/sdk/events", "/v1/sdk/devices/x")


async def preflight(api: ApiWorld, path: str, origin: str) -> dict[str, str]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = await api.anyone.call("OPTIONS", path, headers=asked)
    assert answer.status == 204
    return answer.headers


@pytest.mark.parametrize("path", SDK_PATHS)
async def test_a_listed_site_may_ask(api: ApiWorld, path: str) -> None:
    assert "access-control-allow-origin" not in await preflight(api, path, SITE)
    await api.server.put("/v1/project", {"allowed_origins": [SITE]})
    api.world.clock.advance(seconds=3)
    allowed = await preflight(api, path, SITE)
    assert allowed["access-control-allow-origin"] == SITE
    assert "Clarion-User" in allowed["access-control-allow-headers"]
    assert "PUT" in allowed["access-control-allow-methods"]
    assert "access-control-allow-origin" not in await preflight(api, path, "https://evil.example")


async def test_only_the_project_that_lists_a_site_answers_it(api: ApiWorld) -> None:
    other = await World(api.world.store, api.world.clock, api.world.chance).begin("Other")
    await api.server.put("/v1/project", {"allowed_origins": [SITE]})
    mine = await api.browser.get("/v1/sdk/config", headers={"Origin": SITE})
    assert (mine.headers["access-control-allow-origin"], mine.headers["vary"]) == (SITE, "Origin")
    theirs = await Api(api.app, other.founded.public_key).get("/v1/sdk/config", headers={"Origin": SITE})
    assert theirs.status == 200
    assert "access-control-allow-origin" not in theirs.headers
    event = await Api(api.app, other.founded.public_key).post("/v1/sdk/events", {"name": "x"}, headers={"Origin": SITE})
    assert "access-control-allow-origin" not in event.headers


async def test_a_site_can_read_its_errors(api: ApiWorld) -> None:
    await api.server.put("/v1/project", {"allowed_origins": [SITE]})
    for refused in (
        await api.browser.put("/v1/sdk/preferences", {}, headers={"Origin": SITE}),
        await api.browser.post("/v1/sdk/events", {"name": 5}, headers={"Origin": SITE}),
        await api.anyone.get("/v1/sdk/config", headers={"Origin": SITE}),
        await api.anyone.post("/v1/sdk/events", {}, headers={"Origin": SITE}),
        await api.server.post("/v1/sdk/events", {}, headers={"Origin": SITE}),
        await api.browser.get("/v1/sdk/nothing", headers={"Origin": SITE}),
    ):
        assert 400 <= refused.status < 500
        assert refused.headers["access-control-allow-origin"] == SITE


async def test_settings_list_sites_for_every_project_and_our_own_is_always_listed(api: ApiWorld) -> None:
    both = ApiWorld(api.world, Settings(public_url=ORIGIN, cors_origins=["https://app.example"]))
    for origin in ("https://app.example", ORIGIN):
        answer = await both.browser.get("/v1/sdk/config", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin


async def test_receipts_may_come_from_anywhere_and_server_calls_from_nowhere(api: ApiWorld) -> None:
    await api.server.put("/v1/project", {"allowed_origins": [SITE]})
    assert (await preflight(api, "/v1/receipts", "https://anywhere.example"))["access-control-allow-origin"] == "*"
    for path in ("/v1/events", "/v1/users/u1", "/v1/notifications", "/v1/project"):
        assert "access-control-allow-origin" not in await preflight(api, path, SITE)
        answer = await api.server.get(path, headers={"Origin": SITE})
        assert "access-control-allow-origin" not in answer.headers
