"""Who may wear a category, conditions and control groups: taken, shown, and refused by the name of the field."""

from typing import Any

import pytest

from contract.api_world import Api, ApiWorld

TEMPLATE = {"default_locale": "en", "locales": {"en": {"title": "Signed in from {{ data.place }}"}}}
ALERT = {"to": {"users": ["u1"]}, "category": "security", "template": "sign-in", "data": {"place": "Wien"}}


async def dry(caller: Api, **message: Any) -> dict[str, int]:
    """What a dry run counts."""
    answer = await caller.post("/v1/notifications", {**message, "dry_run": True})
    assert answer.status == 200, answer
    return answer.json["counts"]


@pytest.fixture
async def secured(api: ApiWorld) -> ApiWorld:
    """A mandatory category that takes one template of one key, and of one automation."""
    await api.subscribe("u1")
    for name in ("sign-in", "sale"):
        await api.server.post("/v1/templates", {"name": name, **TEMPLATE})
    await api.key(name="accounts", scopes=["send"])
    category = {"class": "mandatory", "templates": ["sign-in"], "keys": ["accounts", "automation:sign in"]}
    made = await api.server.post("/v1/categories", {"name": "security", **category})
    assert made.status == 201, made
    return api


async def test_a_mandatory_category_takes_what_it_lists(api: ApiWorld) -> None:
    await api.subscribe("u1")
    await api.server.post("/v1/templates", {"name": "sign-in", **TEMPLATE})
    await api.server.post("/v1/templates", {"name": "sale", **TEMPLATE})
    accounts = await api.key(name="accounts")
    campaigns = await api.key(name="campaigns")
    made = await api.server.post(
        "/v1/categories",
        {"name": "security", "class": "mandatory", "templates": ["sign-in"], "keys": ["accounts", "accounts"]},
    )
    ids = {key["name"]: key["id"] for key in (await api.server.get("/v1/keys")).json["items"]}
    assert made.json["keys"] == [ids["accounts"]]
    assert (await api.server.put("/v1/categories/security", made.json)).json == made.json

    mismatch = {"category_mismatch": 1}
    assert await dry(accounts, **ALERT) == {"send": 1}
    assert await dry(campaigns, **ALERT) == mismatch
    assert await dry(accounts, **{**ALERT, "template": "sale"}) == mismatch
    assert await dry(accounts, **ALERT, title="50 % off") == mismatch
    assert await dry(accounts, **ALERT, body="50 % off") == mismatch
    assert await dry(accounts, **{**ALERT, "template": None}, title="50 % off") == mismatch
    # A key that is called so later is another key; the listed one may be called anything.
    await api.server.put(f"/v1/keys/{ids['accounts']}", {"name": "logins"})
    namesake = await api.key(name="accounts")
    assert await dry(namesake, **ALERT) == mismatch
    assert await dry(accounts, **ALERT) == {"send": 1}

    sent = await campaigns.post("/v1/notifications", ALERT)
    await api.world.work()
    path = f"/v1/notifications/{sent.json['id']}"
    assert (await api.server.get(path)).json["sent_by"] == ids["campaigns"]
    [decision] = (await api.server.get(f"{path}/decisions")).json["items"]
    assert decision["reason"] == "category_mismatch"
    assert decision["gates"][-1] == [
        "category",
        "drop",
        "security only takes the keys and automations that it lists, not this key",
    ]


async def test_any_category_may_list_keys_and_null_takes_all(api: ApiWorld) -> None:
    await api.subscribe("u1")
    news = await api.key(name="newsroom")
    hello = {"to": {"users": ["u1"]}, "category": "news", "title": "Hello"}
    await api.server.post("/v1/categories", {"name": "news", "keys": ["newsroom"]})
    assert await dry(news, **hello) == {"send": 1}
    assert await dry(api.server, **hello) == {"category_mismatch": 1}
    await api.server.put("/v1/categories/news", {"keys": None})
    assert await dry(api.server, **hello) == {"send": 1}


async def test_an_automation_wears_a_category_that_lists_it(secured: ApiWorld) -> None:
    server = secured.server
    notification = {"category": "security", "template": "sign-in", "data": {"place": "Graz"}}
    rule = {"on": {"event": "signed_in"}, "notification": notification}
    assert (await server.post("/v1/automations", {"name": "sign in", **rule})).status == 201
    refused = await server.post("/v1/automations", {"name": "other", **rule})
    assert "not automation:other" in refused.fields["notification.category"]
    sale = {**rule, "notification": {**notification, "template": "sale"}}
    assert "that it lists" in (await server.put("/v1/automations/sign%20in", sale)).fields["notification.template"]
    own = {**rule, "notification": {**notification, "title": "Sale"}}
    assert "mandatory" in (await server.put("/v1/automations/sign%20in", own)).fields["notification.title"]

    async def reasons() -> dict[str, int]:
        await server.post("/v1/events", {"user_id": "u1", "name": "signed_in"})
        await secured.world.work()
        newest = (await server.get("/v1/notifications?limit=1")).json["items"][0]["id"]
        found = (await server.get(f"/v1/notifications/{newest}")).json
        assert found["sent_by"] is None
        return found["counts"]["reasons"]

    assert await reasons() == {"send": 1}
    # Taken from the list later, it sends nothing, and says why.
    await server.put("/v1/categories/security", {"class": "mandatory", "keys": ["accounts"]})
    assert await reasons() == {"category_mismatch": 1}


async def test_keys_that_cannot_be_listed_are_named(api: ApiWorld) -> None:
    for name in ("twice", "twice", "gone"):
        await api.key(name=name)
    ids = {key["name"]: key["id"] for key in (await api.server.get("/v1/keys")).json["items"]}
    await api.server.delete(f"/v1/keys/{ids['gone']}")
    keys = ["nobody", "twice", "gone", ids["first public key"], "automation:later", ids["twice"]]
    refused = await api.server.post("/v1/categories", {"name": "x", "keys": keys, "templates": ["nope"]})
    assert refused.status == 400
    assert refused.fields == {
        "templates[0]": "there is no template nope",
        "keys[0]": "there is no key nobody",
        "keys[1]": "2 keys are called twice: give the id",
        "keys[2]": "the key gone was revoked",
        "keys[3]": "must be a server key",
    }
    assert "keys" in (await api.server.post("/v1/categories", {"name": "x", "keys": []})).fields
    off = await api.server.post("/v1/categories", {"name": "x", "class": "mandatory", "default": False})
    assert "mandatory is on" in off.fields["default"]


@pytest.mark.parametrize(
    ("more", "field", "word"),
    [
        ({"condition": "user.plan =="}, "condition", "syntax"),
        ({"condition": "true) or (true"}, "condition", "syntax"),
        ({"condition": "{{ user.plan }}"}, "condition", ""),
        ({"condition": ""}, "condition", "at least 1 "),
        ({"condition": "user.plan|nofilter"}, "condition", "unknown filter"),
        ({"condition": "usr.plan == 1"}, "condition", "undefined"),
        ({"condition": "data.nothing == 1"}, "condition", "undefined"),
        ({"condition": "event.name == 'x'"}, "condition", "undefined"),
        ({"condition": 1}, "condition", "text"),
        ({"unless_event": {}}, "unless_event.name", "is required"),
        ({"unless_event": {"name": "paid", "were": {}}}, "unless_event.were", "not a field"),
        ({"unless_event": {"name": "paid", "where": {"a": [1]}}}, "unless_event.where.a", "a number"),
        ({"unless_event": {"name": "paid", "where": {"a": "{{ data.x }}"}}}, "unless_event.where.a", "undefined"),
        ({"holdout": {"key": "k"}}, "holdout.percent", "is required"),
        ({"holdout": {"key": "", "percent": 1}}, "holdout.key", "at least 1 "),
        ({"holdout": {"key": "k", "percent": 100}}, "holdout.percent", "100"),
        ({"holdout": {"key": "k", "percent": -1}}, "holdout.percent", "0"),
        ({"condition": "true", "arm": True}, "arm", "beside condition"),
        ({"unless_event": {"name": "paid"}, "arm": True}, "arm", "beside unless_event"),
    ],
)
async def test_what_cannot_work_is_refused(api: ApiWorld, more: dict, field: str, word: str) -> None:
    refused = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hi", **more})
    assert refused.status == 400, refused
    assert word in refused.fields[field]
    if "arm" not in more:
        rule = {"name": "x", "on": {"event": "e"}, "notification": {"title": "Hi", **more}}
        in_automation = await api.server.post("/v1/automations", rule)
        expected = 201 if more == {"condition": "event.name == 'x'"} else 400
        assert in_automation.status == expected
        if expected == 400:
            assert word in in_automation.fields[f"notification.{field}"]


@pytest.mark.parametrize("wrong", [-0.1, 50.1, "5", True])
async def test_a_share_that_cannot_be_is_refused(api: ApiWorld, wrong: object) -> None:
    assert "holdout_percent" in (await api.server.put("/v1/project", {"holdout_percent": wrong})).fields


async def test_control_groups_are_set_shown_and_explained(api: ApiWorld) -> None:
    assert (await api.server.get("/v1/project")).json["holdout_percent"] == 0
    changed = await api.server.put("/v1/project", {"holdout_percent": 12.5})
    assert (changed.status, changed.json["holdout_percent"]) == (200, 12.5)
    assert (await api.server.get("/v1/project")).json["holdout_percent"] == 12.5
    names = [f"u{number}" for number in range(60)]
    for name in names:
        await api.server.put(f"/v1/users/{name}", {})
        await api.subscribe(name)
    hello = {"to": {"users": names}, "title": "Hello", "holdout": {"key": "welcome", "percent": 20}}
    counts = await dry(api.server, **hello)
    assert set(counts) == {"send", "holdout"}
    sent = (await api.server.post("/v1/notifications", hello)).json["id"]
    await api.world.work()
    found = (await api.server.get(f"/v1/notifications/{sent}")).json
    assert found["counts"]["reasons"] == counts
    assert found["request"]["holdout"] == {"key": "welcome", "percent": 20.0}
    out = (await api.server.get(f"/v1/notifications/{sent}/decisions?reason=holdout")).json["items"]
    said = {one["gates"][-1][2]: one["user_id"] for one in out}
    assert set(said) == {"global control group (12.5 %)", "control group welcome (20 %)"}
    story = (await api.server.get(f"/v1/users/{said['global control group (12.5 %)']}/story")).json
    [chapter] = [one for one in story["chapters"] if one["stage"] == "decide"]
    assert chapter["what"] == "Decided to drop: holdout"
    assert ["holdout", "drop", "global control group (12.5 %)"] in chapter["detail"]["gates"]
