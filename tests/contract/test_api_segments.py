"""Segments at the door: what is refused and where, how a rule reads as a sentence, and how a definition lives."""

from typing import Any

import pytest

from contract.api_world import ApiWorld

DID = {"type": "did", "event": "order"}
DAYS = {"days": 3}


def attribute(op: str, value: Any = None) -> dict[str, Any]:
    return {"type": "attribute", "attribute": "plan", "op": op} | ({} if value is None else {"value": value})


@pytest.mark.parametrize(
    ("rule", "field", "words"),
    [
        ({"type": "dod"}, "rule.type", "must be one of all, any, attribute"),
        ({"type": "did", "evnt": "order"}, "rule.evnt", "did you mean event?"),
        ({"type": "all", "rules": [DID, {"type": "any", "rules": []}]}, "rule.rules[1].rules", "at least 1 item"),
        ({"type": "not", "rule": attribute("like")}, "rule.rule.op", "must be one of contains"),
        ({"type": "not", "rule": attribute("eq")}, "rule.rule.value", "must be a single value"),
        (attribute("exists", "x"), "rule.value", "must be left out"),
        (attribute("in", "x"), "rule.value", "must be a list"),
        (attribute("gt", value=True), "rule.value", "must be a number or a text"),
        (attribute("eq", 2**60), "rule.value", "must be a number between"),
        (attribute("in", [2**60]), "rule.value", "must be a number between"),
        (attribute("starts_with", 3), "rule.value", "must be a text"),
        (attribute("contains", ""), "rule.value", "must be a text that is not empty"),
        ({"type": "attribute", "attribute": 'a"b', "op": "exists"}, "rule.attribute", "quotation marks"),
        ({"type": "user", "field": "shoe_size", "op": "exists"}, "rule.field", "must be one of anonymous, email"),
        ({"type": "user", "field": "locale", "op": "gt", "value": "de"}, "rule.op", "it is a text"),
        ({"type": "user", "field": "locale", "op": "eq", "value": True}, "rule.value", "must be a text"),
        ({"type": "user", "field": "anonymous", "op": "eq", "value": "yes"}, "rule.value", "must be true or false"),
        ({"type": "user", "field": "anonymous", "op": "exists"}, "rule.op", "must be eq or ne"),
        ({"type": "device", "kinds": []}, "rule.kinds", "at least one"),
        ({"type": "device", "kinds": ["pager"]}, "rule.kinds[0]", "must be one of apns"),
        (
            {"type": "device", "where": [{"field": "model", "op": "lt", "value": "x"}]},
            "rule.where[0].op",
            "must be one of",
        ),
        ({**DID, "within": {"days": -3}}, "rule.within.days", "a whole number >= 0"),
        ({**DID, "within": {}}, "rule.within", "longer than nothing"),
        ({**DID, "within": {"days": 3650, "hours": 1}}, "rule.within", "at most 3650 days"),
        ({**DID, "within": {"weeks": 1}}, "rule.within.weeks", "is not a field here"),
        ({**DID, "within": DAYS, "before": DAYS}, "rule.before", "the window would be empty"),
        ({**DID, "at_least": 3, "at_most": 2}, "rule.at_most", "must be at least 3"),
        ({**DID, "at_least": 0}, "rule.at_least", "must be 1 or more"),
        ({**DID, "since": {"last": "order"}}, "rule.since.last", "another event than order"),
        (
            {**DID, "where": [{"property": "total", "op": "gte", "value": [1]}]},
            "rule.where[0].value",
            "must be a single value",
        ),
        ({"type": "first", "event": "order"}, "rule.within", "is required"),
        ({"type": "created"}, "rule.within", "is required"),
        ({"type": "consent", "category": "nope", "state": "granted"}, "rule.category", "there is no category nope"),
        ({"type": "segment", "segment": "nope"}, "rule.segment", "there is no segment nope"),
        ({"type": "topic", "topic": "nope"}, "rule.topic", "there is no topic nope"),
        ({"type": "percent", "percent": 0}, "rule.percent", "more than 0"),
        ({"type": "percent", "percent": 20, "from": 90}, "rule.percent", "with from, at most 100"),
        ({"type": "all", "rules": [DID] * 101}, "rule.rules", "at most 100 items"),
        ({"type": "all", "rules": [{"type": "any", "rules": [DID] * 60}] * 2}, "rule", "at most 100 conditions"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused_with_its_place(
    api: ApiWorld, rule: dict[str, Any], field: str, words: str
) -> None:
    for path, more in (("/v1/segments", {"name": "x"}), ("/v1/segments/preview", {})):
        refused = await api.server.post(path, {"rule": rule, **more})
        assert refused.status == 400, refused
        assert words in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/segments")).json["items"] == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "rule", "exactly one of rule, ready_made, list"),
        ({"rule": DID, "list": True}, "list", "exactly one of"),
        ({"list": True, "exit": DID}, "exit", "goes with a rule"),
        ({"rule": DID, "parameters": {}}, "parameters", "ready_made only"),
        ({"ready_made": "nope"}, "ready_made", "must be one of cart_abandoned"),
        ({"ready_made": "inactive", "rule": DID}, "rule", "ready_made makes it"),
        ({"ready_made": "inactive", "list": True}, "list", "ready_made makes a rule"),
        ({"ready_made": "inactive", "parameters": {"event": 3}}, "parameters.event", "must be text"),
        ({"ready_made": "inactive", "parameters": {"days": 3}}, "parameters.days", "is not a field here"),
        ({"ready_made": "new_users", "parameters": {"within": {"days": -1}}}, "parameters.within.days", ">= 0"),
        ({"ready_made": "new_users", "parameters": {"within": {}}}, "parameters", "longer than nothing"),
        (
            {"ready_made": "cart_abandoned", "parameters": {"after": {"days": 3}}},
            "parameters.after",
            "shorter than within",
        ),
        (
            {"ready_made": "cart_abandoned", "parameters": {"event": "order"}},
            "parameters.purchase",
            "another event than event",
        ),
        (
            {"ready_made": "at_risk_by_recency", "parameters": {"quiet": {"days": 90}, "lost": {"days": 30}}},
            "parameters.lost",
            "longer than quiet",
        ),
        ({"name": "a/b", "rule": DID}, "name", "letters from a to z, digits"),
        ({"name": "Frühling", "rule": DID}, "name", "letters from a to z, digits"),
        ({"name": "preview", "rule": DID}, "name", "path of its own"),
    ],
)
async def test_a_segment_is_told_in_one_way(api: ApiWorld, body: dict[str, Any], field: str, words: str) -> None:
    refused = await api.server.post("/v1/segments", {"name": "x", **body})
    assert refused.status == 400, refused
    assert words in refused.fields[field], refused.fields


async def test_segments_do_not_lead_in_circles(api: ApiWorld) -> None:
    def of(name: str) -> dict[str, Any]:
        return {"type": "segment", "segment": name}

    await api.server.post("/v1/segments", {"name": "a", "rule": DID})
    await api.server.post("/v1/segments", {"name": "b", "rule": DID, "exit": of("a")})
    await api.server.post("/v1/segments", {"name": "c", "rule": {"type": "all", "rules": [DID, of("b")]}})
    refused = await api.server.put("/v1/segments/a", {"rule": {"type": "not", "rule": of("c")}})
    assert refused.fields == {"rule.rule.segment": "leads back to this segment: a → c → b → a"}
    own = await api.server.put("/v1/segments/a", {"rule": of("a")})
    assert own.fields == {"rule.segment": "leads back to this segment: a → a"}
    kept = await api.server.delete("/v1/segments/b")
    assert (kept.status, kept.json["detail"]) == (409, "c refers to it")
    await api.server.post("/v1/topics", {"name": "news"})
    await api.server.put("/v1/segments/c", {"rule": {"type": "topic", "topic": "news"}})
    assert (await api.server.delete("/v1/topics/news")).status == 409
    assert (await api.server.delete("/v1/segments/c")).status == 204
    assert (await api.server.delete("/v1/segments/b")).status == 204
    assert (await api.server.delete("/v1/topics/news")).status == 204


async def test_a_segment_does_not_outgrow_those_that_name_it(api: ApiWorld) -> None:
    sixty = {"type": "all", "rules": [DID] * 60}
    inner = await api.server.post("/v1/segments", {"name": "inner", "rule": {"type": "all", "rules": [DID] * 30}})
    rule = {"type": "any", "rules": [{"type": "segment", "segment": "inner"}, sixty]}
    outer = await api.server.post("/v1/segments", {"name": "outer", "rule": rule})
    assert (inner.status, outer.status) == (201, 201)
    grown = await api.server.put("/v1/segments/inner", {"rule": sixty})
    assert grown.fields == {"rule": "makes outer, which names it, have more than 100 conditions"}
    assert (await api.server.put("/v1/segments/inner", {"rule": DID})).status == 200


async def test_a_field_of_another_type_of_rule_is_told_so(api: ApiWorld) -> None:
    rule = {"type": "did_not", "event": "order", "at_least": 2}
    looked = await api.server.post("/v1/segments/preview", {"rule": rule})
    assert looked.fields == {"rule.at_least": "is not a field of this type"}
    rule = {"type": "device", "where": [{"property": "model", "op": "exists"}]}
    looked = await api.server.post("/v1/segments/preview", {"rule": rule})
    assert looked.fields == {"rule.where[0].property": "is not a field of this type"}


async def test_two_that_were_changed_at_once_and_lead_in_a_circle_have_nobody(api: ApiWorld) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        rule = {"type": "not", "rule": {"type": "segment", "segment": other}}
        await api.world.define("segments", name=name, rule=rule)
    await api.world.subscribe("ada")
    assert (await api.server.post("/v1/segments/preview", {"segment": "a"})).json["count"] == 0
    sent = await api.server.post("/v1/notifications", {"to": {"segment": "a"}, "title": "x"})
    await api.world.work()
    assert (await api.server.get(f"/v1/notifications/{sent.json['id']}/decisions")).json["items"] == []


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (attribute("ne", "gold"), 'whose plan is not "gold"'),
        ({"type": "not", "rule": attribute("in", ["a", 1])}, 'whose plan is none of "a", 1'),
        (
            {**DID, "at_least": 2, "at_most": 2, "within": {"days": 1, "hours": 12}},
            "who did order exactly 2 times in the last 1 day 12 hours",
        ),
        ({**DID, "at_least": 0, "at_most": 1}, "who did order at most 1 time"),
        ({"type": "did_not", "since": {"last": "visit"}}, "who did not do anything since their last visit"),
        (
            {**DID, "where": [{"property": "total", "op": "gte", "value": 50}], "before": DAYS},
            "who did order (total is at least 50) at least 3 days ago",
        ),
        ({"type": "first", "event": "order", "within": DAYS}, "who did order for the first time in the last 3 days"),
        (
            {
                "type": "all",
                "rules": [DID, {"type": "any", "rules": [attribute("exists"), {"type": "percent", "percent": 5}]}],
            },
            "who did order and (whose plan is known or who are in a random 5 %)",
        ),
        (
            {"type": "not", "rule": {"type": "all", "rules": [DID, {"type": "created", "within": DAYS}]}},
            "who did not order or were not first seen in the last 3 days",
        ),
        (
            {"type": "device", "kinds": ["apns", "fcm"], "permissions": ["granted"]},
            "who have an active apns or fcm device whose permission is granted",
        ),
        ({"type": "consent", "category": "general", "state": "refused"}, "who said no to general (push)"),
        ({"type": "user", "field": "anonymous", "op": "ne", "value": True}, "who are not anonymous"),
        (
            {"type": "not", "rule": {"type": "user", "field": "anonymous", "op": "eq", "value": False}},
            "who are anonymous",
        ),
    ],
)
async def test_a_rule_reads_as_a_sentence(api: ApiWorld, rule: dict[str, Any], sentence: str) -> None:
    made = await api.server.post("/v1/segments", {"name": "x", "rule": rule})
    assert made.json["sentence"] == f"people {sentence}"
    again = await api.server.put("/v1/segments/x", made.json)
    assert (again.status, again.json) == (200, made.json)


@pytest.mark.parametrize(
    ("noun", "name", "body"),
    [
        ("segments", "first one", {"rule": DID, "description": "They bought"}),
        ("segments", "first one", {"ready_made": "at_risk_by_recency", "parameters": {"at_least": 3}}),
        ("segments", "first one", {"list": True}),
        ("topics", "sport/first one", {"title": "Sport", "open": True}),
    ],
)
async def test_it_lives_and_ends(api: ApiWorld, noun: str, name: str, body: dict[str, Any]) -> None:
    made = await api.server.post(f"/v1/{noun}", {"name": name, **body})
    assert (made.status, body.items() <= made.json.items() or "parameters" in body) == (201, True), made
    path = f"/v1/{noun}/{name.replace('/', '%2F').replace(' ', '%20')}"
    assert (await api.server.get(path)).json == made.json
    assert (await api.server.get(f"/v1/{noun}")).json == {"items": [made.json], "next_cursor": None}
    assert (await api.server.post(f"/v1/{noun}", {"name": name, **body})).status == 409
    assert (await api.server.put(path, body)).json == made.json
    assert (await api.server.put(path, made.json)).json == made.json
    assert "cannot be changed" in (await api.server.put(path, {**body, "name": "other"})).fields["name"]
    assert (await api.server.put(f"/v1/{noun}/nope", body)).status == 404
    assert (await api.server.delete(path)).status == 204
    assert (await api.server.get(path)).status == 404
    assert (await api.server.delete(path)).status == 404


@pytest.mark.parametrize("name", ["/sport", "sport/", "sport//x", "sport/*", "sport/#", "a/" * 10 + "b", "x" * 256])
async def test_a_topic_has_no_wildcards(api: ApiWorld, name: str) -> None:
    assert "name" in (await api.server.post("/v1/topics", {"name": name})).fields
    assert "to.topic" in (await api.server.post("/v1/notifications", {"to": {"topic": name}, "title": "x"})).fields


async def test_a_notification_names_what_is_there(api: ApiWorld) -> None:
    for to in ({"segment": "nope"}, {"topic": "nope"}):
        [(noun, name)] = to.items()
        for more in ({}, {"dry_run": True}, {"arm": True}):
            refused = await api.server.post("/v1/notifications", {"to": to, "title": "x", **more})
            assert refused.fields == {f"to.{noun}": f"there is no {noun} {name}"}
    both = await api.server.post("/v1/notifications", {"to": {"segment": "a", "topic": "b"}, "title": "x"})
    assert "exactly one of users, devices, segment, topic, everyone" in both.fields["to"]


async def test_only_a_list_has_people_put_on_it(api: ApiWorld) -> None:
    await api.server.post("/v1/segments", {"name": "ruled", "rule": DID})
    for rest in ("users", "users/remove"):
        assert (await api.server.post(f"/v1/segments/ruled/{rest}", {"users": ["ada"]})).status == 409
        assert (await api.server.post(f"/v1/segments/nope/{rest}", {"users": ["ada"]})).status == 404
    for rest in ("subscribe", "unsubscribe"):
        assert (await api.server.post(f"/v1/topics/nope/{rest}", {"users": ["ada"]})).status == 404
