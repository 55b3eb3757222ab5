"""Categories, templates and automations: listed, made, read, replaced, deleted, and refused when they cannot work."""

from typing import Any

import pytest

from contract.api_world import ApiWorld

CATEGORY = {"title": "Orders", "description": "Where they are", "class": "mandatory", "channels": ["push", "email"]}
TEMPLATE = {"default_locale": "en", "locales": {"en": {"title": "Hi {{ user.name }}"}, "de-AT": {"title": "Servus"}}}
AUTOMATION = {"on": {"event": "ordered"}, "notification": {"title": "Order {{ event.properties.id }}"}}
NOUNS = [("categories", CATEGORY), ("templates", TEMPLATE), ("automations", AUTOMATION)]


@pytest.mark.parametrize(("noun", "body"), NOUNS)
async def test_a_definition_lives_and_ends(api: ApiWorld, noun: str, body: dict) -> None:
    made = await api.server.post(f"/v1/{noun}", {"name": "first one", **body})
    assert made.status == 201, made
    path = f"/v1/{noun}/first%20one"
    assert (await api.server.get(path)).json == made.json
    assert made.json["name"] == "first one"

    again = await api.server.post(f"/v1/{noun}", {"name": "first one", **body})
    assert (again.status, again.json["code"]) == (409, "conflict")
    assert "PUT replaces it" in again.fields["name"]
    replaced = await api.server.put(path, body)
    assert (replaced.status, replaced.json) == (200, made.json)
    renamed = await api.server.put(path, {"name": "other", **body})
    assert "cannot be changed" in renamed.fields["name"]
    assert (await api.server.put(f"/v1/{noun}/nope", body)).status == 404

    assert (await api.server.delete(path)).status == 204
    assert (await api.server.get(path)).status == 404
    assert (await api.server.delete(path)).status == 404


@pytest.mark.parametrize(
    ("noun", "body"),
    [
        ("partials", {"locales": {"en": "Bye"}}),
        ("segments", {"rule": {"type": "attribute", "attribute": "plan", "op": "exists"}}),
        ("topics", {}),
        ("campaigns", {"to": {"everyone": True}, "notification": {"title": "x"}}),
    ],
)
async def test_a_name_is_taken_once(api: ApiWorld, noun: str, body: dict) -> None:
    assert (await api.server.post(f"/v1/{noun}", {"name": "first", **body})).status == 201
    again = await api.server.post(f"/v1/{noun}", {"name": "first", **body})
    assert (again.status, list(again.fields)) == (409, ["name"])


@pytest.mark.parametrize(("noun", "body"), NOUNS)
async def test_definitions_are_listed_in_pages(api: ApiWorld, noun: str, body: dict) -> None:
    for name in ("c", "a", "b"):
        await api.server.post(f"/v1/{noun}", {"name": name, **body})
    names = [one["name"] for one in (await api.server.get(f"/v1/{noun}")).json["items"] if one["name"] != "general"]
    assert names == ["a", "b", "c"]
    first = (await api.server.get(f"/v1/{noun}?limit=2")).json
    assert len(first["items"]) == 2
    rest = (await api.server.get(f"/v1/{noun}?limit=2&cursor={first['next_cursor']}")).json
    assert {one["name"] for one in first["items"] + rest["items"]} >= {"a", "b", "c"}


async def test_a_category_keeps_what_was_said(api: ApiWorld) -> None:
    made = await api.server.post(
        "/v1/categories", {"name": "orders", **CATEGORY, "channels": ["push", "push", "email"]}
    )
    assert CATEGORY.items() <= made.json.items()
    assert made.json["default"] is None
    plain = await api.server.post("/v1/categories", {"name": "plain"})
    assert (plain.json["class"], plain.json["channels"]) == ("informational", ["push", "email", "sms", "inbox"])


@pytest.mark.parametrize(
    ("noun", "body", "field", "word"),
    [
        ("categories", {}, "name", "is required"),
        ("categories", {"name": "a/b"}, "name", "letters from a to z"),
        ("categories", {"name": ""}, "name", "at least 1 "),
        ("categories", {"name": "x", "class": "spam"}, "class", "informational, mandatory, marketing"),
        ("categories", {"name": "x", "channels": []}, "channels", "at least 1 "),
        ("categories", {"name": "x", "channels": ["pigeon"]}, "channels[0]", "email, inbox, push, sms"),
        ("categories", {"name": "x", "templates": ["nope"]}, "templates[0]", "no template nope"),
        ("templates", {"name": "x"}, "locales", "is required"),
        ("templates", {"name": "x", "locales": {}}, "locales", "at least 1 "),
        ("templates", {"name": "x", "locales": {"en": {}}}, "locales[...].title", "is required"),
        ("templates", {"name": "x", "locales": {"not a locale": {"title": "x"}}}, "locales", "BCP 47"),
        ("templates", {"name": "x", "default_locale": "fr", "locales": {"en": {"title": "x"}}}, "default_locale", "en"),
        ("templates", {"name": "x", "locales": {"en": {"title": "{% if %}"}}}, "locales.en.title", "syntax"),
        ("automations", {"name": "x", "on": {"event": "e"}}, "notification", "is required"),
        ("automations", {"name": "x", "notification": {"title": "x"}}, "on", "is required"),
        ("automations", {"name": "x", "on": {}, "notification": {"title": "x"}}, "on.event", "is required"),
        ("automations", {"name": "x", "on": {"event": "e"}, "notification": {}}, "notification.title", "is needed"),
        (
            "automations",
            {"name": "x", "on": {"event": "e"}, "notification": {"title": "x", "to": {}}},
            "notification.to",
            "not a field",
        ),
        (
            "automations",
            {"name": "x", "on": {"event": "e"}, "notification": {"title": "x", "category": "nope"}},
            "notification.category",
            "no category nope",
        ),
    ],
)
async def test_what_cannot_work_is_refused(api: ApiWorld, noun: str, body: dict, field: str, word: str) -> None:
    refused = await api.server.post(f"/v1/{noun}", body)
    assert refused.status == 400, refused
    found = next(words for name, words in refused.fields.items() if name.startswith(field))
    assert word in found


async def test_a_changed_category_counts_at_once(api: ApiWorld) -> None:
    await api.subscribe("u1")
    hello = {"to": {"users": ["u1"]}, "title": "Hello", "category": "offers", "dry_run": True}
    assert (await api.server.post("/v1/notifications", hello)).status == 400
    await api.server.post("/v1/categories", {"name": "offers", "class": "informational"})
    assert (await api.server.post("/v1/notifications", hello)).json["counts"] == {"send": 1}
    await api.server.put("/v1/categories/offers", {"class": "marketing"})
    assert (await api.server.post("/v1/notifications", hello)).json["counts"] == {"no_consent": 1}


@pytest.mark.parametrize(
    ("path", "made", "message", "start"),
    [
        ("segments/loyal", {"name": "loyal", "rule": {"type": "did"}}, {}, {"segment": "loyal"}),
        ("templates/cart", {"name": "cart", "default_locale": "en", "locales": {"en": {"title": "T"}}}, "cart", None),
        ("categories/offers", {"name": "offers", "class": "marketing"}, {"category": "offers"}, None),
    ],
)
async def test_what_an_automation_needs_is_not_deleted(
    api: ApiWorld, path: str, made: dict[str, Any], message: Any, start: dict[str, Any] | None
) -> None:
    kind = path.partition("/")[0]
    assert (await api.server.post(f"/v1/{kind}", made)).status == 201
    said = {"template": message} if isinstance(message, str) else {"title": "Hello", **message}
    steps = [{"type": "send", "notification": said}]
    body = {"name": "welcome", "on": start or {"event": "signed_up"}, "steps": steps}
    assert (await api.server.post("/v1/automations", body)).status == 201
    refused = await api.server.delete(f"/v1/{path}")
    assert (refused.status, refused.json["detail"]) == (409, "the automation welcome needs it")
    assert (await api.server.delete("/v1/automations/welcome")).status == 204
    assert (await api.server.delete(f"/v1/{path}")).status == 204


async def test_what_a_rule_of_an_automation_names_is_not_deleted(api: ApiWorld) -> None:
    await api.server.post("/v1/topics", {"name": "news"})
    await api.server.post("/v1/segments", {"name": "loyal", "rule": {"type": "did"}})
    path = {"if": {"type": "not", "rule": {"type": "segment", "segment": "loyal"}}, "to": "end"}
    body = {
        "name": "welcome",
        "on": {"event": "signed_up"},
        "exit_if": {"type": "topic", "topic": "news"},
        "steps": [{"type": "branch", "paths": [path]}, {"type": "exit", "id": "end"}],
    }
    assert (await api.server.post("/v1/automations", body)).status == 201
    for named in ("topics/news", "segments/loyal"):
        refused = await api.server.delete(f"/v1/{named}")
        assert (refused.status, refused.json["detail"]) == (409, "the automation welcome needs it")


async def test_what_a_campaign_at_work_needs_is_not_deleted(api: ApiWorld) -> None:
    await api.server.post("/v1/segments", {"name": "loyal", "rule": {"type": "did"}})
    await api.server.post("/v1/templates", {"name": "t", "default_locale": "en", "locales": {"en": {"title": "T"}}})
    body = {
        "name": "spring",
        "to": {"segment": "loyal"},
        "notification": {"variants": [{"key": "a", "template": "t"}, {"key": "b", "title": "B"}]},
        "schedule": {"at": "2028-01-01T00:00:00Z"},
    }
    assert (await api.server.post("/v1/campaigns", body)).status == 201
    assert (await api.server.post("/v1/campaigns/spring/start")).status == 200
    for named in ("segments/loyal", "templates/t"):
        refused = await api.server.delete(f"/v1/{named}")
        assert (refused.status, refused.json["detail"]) == (409, "the campaign spring needs it")
    assert (await api.server.post("/v1/campaigns/spring/cancel")).status == 200
    for named in ("segments/loyal", "templates/t"):
        assert (await api.server.delete(f"/v1/{named}")).status == 204
