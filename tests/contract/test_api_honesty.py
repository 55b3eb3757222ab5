"""Title honesty through the API: asked at `/v1/lint`, warned of with templates, and blocking what a project says."""

import pytest

from clarion.intelligence.honesty import RULES
from contract.api_world import ApiWorld

SHOUT = {"title": "LAST CHANCE for 50% off", "body": "Shoes."}
DIGEST = {"window": {"kind": "fixed", "seconds": 600}}
HELLO = {"default_locale": "en", "locales": {"en": {"title": "Hello"}, "de": {"title": "Letzte Chance"}}}


async def block(api: ApiWorld, *rules: str) -> None:
    changed = await api.server.put("/v1/project", {"lint": dict.fromkeys(rules, "block")})
    assert changed.status == 200, changed


async def rules_of(api: ApiWorld, body: dict) -> list[str]:
    answer = await api.server.post("/v1/lint", body)
    assert answer.status == 200, answer
    return [one["rule"] for one in answer.json["findings"]]


async def test_a_message_is_looked_at_and_nothing_is_stored(api: ApiWorld) -> None:
    reader = await api.key(scopes=["read"])
    answer = await reader.post("/v1/lint", {**SHOUT, "to": {"everyone": True}, "locale": "en"})
    assert answer.status == 200
    by_rule = {one["rule"]: one for one in answer.json["findings"]}
    assert by_rule.keys() == {"capitals", "urgency", "claim_percent"}
    percent = by_rule["claim_percent"]
    assert (percent["field"], percent["locale"], percent["part"]) == ("title", "en", "50%")
    assert (percent["severity"], percent["blocks"]) == ("warning", False)
    assert "neither the body nor the data" in percent["message"]
    assert percent["instead"]
    assert (await api.server.get("/v1/notifications")).json["items"] == []
    assert (await api.browser.post("/v1/lint", SHOUT)).status == 403


async def test_data_bears_out_what_a_template_says(api: ApiWorld) -> None:
    template = {"locales": {"en": {"title": "50% off shoes"}, "de": {"title": "50 % auf Schuhe"}}}
    found = (await api.server.post("/v1/lint", template)).json["findings"]
    assert [(one["field"], one["locale"]) for one in found] == [("locales.en.title", "en"), ("locales.de.title", "de")]
    assert await rules_of(api, {**template, "data": {"percent": 50}}) == []

    await api.server.post("/v1/templates", {"name": "sale", **template})
    assert await rules_of(api, {"template": "sale"}) == ["claim_percent", "claim_percent"]
    assert await rules_of(api, {"template": "sale", "data": {"percent": 50}}) == []
    assert await rules_of(api, {"template": "sale", "title": "Shoes", "body": "Cheap."}) == []


async def test_a_mandatory_category_may_hurry(api: ApiWorld) -> None:
    await api.server.post("/v1/categories", {"name": "security", "class": "mandatory"})
    urgent = {"title": "Urgent: change your password"}
    assert await rules_of(api, urgent) == ["urgency"]
    assert await rules_of(api, {**urgent, "category": "security"}) == []


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({}, "title", "is needed"),
        ({"title": "Hi {{ user.name"}, "title", "unexpected"),
        ({"title": "Hi", "template": "nope"}, "template", "no template nope"),
        ({"title": "Hi", "category": "nope"}, "category", "no category nope"),
        ({"title": "Hi", "locales": {"en": {"title": "Hi"}}}, "title", "cannot stand beside locales"),
        ({"locales": {"en": {"title": "Hi"}}, "default_locale": "de"}, "default_locale", "must be one of en"),
        ({"titel": "Hi"}, "titel", "did you mean title?"),
    ],
)
async def test_what_cannot_be_looked_at_is_refused(api: ApiWorld, body: dict, field: str, word: str) -> None:
    refused = await api.server.post("/v1/lint", body)
    assert refused.status == 400, refused
    assert word in refused.fields[field]


async def test_a_template_is_answered_with_warnings_and_may_be_written_back(api: ApiWorld) -> None:
    made = await api.server.post("/v1/templates", {"name": "hello", **HELLO})
    [warning] = made.json["warnings"]
    assert (warning["rule"], warning["field"], warning["locale"]) == ("urgency", "locales.de.title", "de")
    read = (await api.server.get("/v1/templates/hello")).json
    assert read == made.json
    assert (await api.server.put("/v1/templates/hello", read)).json == read


async def test_every_rule_warns_until_the_project_says_otherwise(api: ApiWorld) -> None:
    assert (await api.server.get("/v1/project")).json["lint"] == dict.fromkeys(RULES, "warn")
    changed = await api.server.put("/v1/project", {"lint": {"capitals": "off", "urgency": "block"}})
    assert changed.json["lint"] == {**dict.fromkeys(RULES, "warn"), "capitals": "off", "urgency": "block"}
    await api.server.put("/v1/project", {"name": "Other"})
    found = (await api.server.post("/v1/lint", SHOUT)).json["findings"]
    assert {one["rule"]: one["blocks"] for one in found} == {"urgency": True, "claim_percent": False}


@pytest.mark.parametrize(
    ("lint", "field", "word"),
    [
        ({"capitls": "block"}, "lint.capitls", "did you mean capitals?"),
        ({"x" * 50: "block"}, "lint." + "x" * 50, "there are title_empty"),
        ({"capitals": "loud"}, "lint", "must be one of block, off, warn"),
    ],
)
async def test_a_rule_that_is_none_is_refused_by_name(api: ApiWorld, lint: dict, field: str, word: str) -> None:
    refused = await api.server.put("/v1/project", {"lint": lint})
    assert refused.status == 400
    assert any(name.startswith(field) and word in words for name, words in refused.fields.items()), refused


async def test_what_a_project_blocks_is_refused_wherever_it_would_come_in(api: ApiWorld) -> None:
    notification = {"to": {"users": ["u1"]}, "category": "general", **SHOUT}
    automation = {"on": {"event": "seen"}, "notification": SHOUT}
    template = {"locales": {"en": {"title": "LAST CHANCE"}}}
    assert (await api.server.post("/v1/notifications", notification)).status == 202
    for noun, body in (("automations", automation), ("templates", template)):
        assert (await api.server.post(f"/v1/{noun}", {"name": "old", **body})).status == 201

    await block(api, "capitals")
    places = [
        ("POST", "/v1/notifications", notification, "title"),
        ("POST", "/v1/notifications", {**notification, "dry_run": True}, "title"),
        ("POST", "/v1/notifications", {"to": {"users": ["u1"]}, "template": "old"}, "title"),
        ("POST", "/v1/automations", {"name": "new", **automation}, "notification.title"),
        ("PUT", "/v1/automations/old", automation, "notification.title"),
        ("POST", "/v1/templates", {"name": "new", **template}, "locales.en.title"),
        ("PUT", "/v1/templates/old", template, "locales.en.title"),
        ("PUT", "/v1/categories/general", {"digest": {**DIGEST, "title": "LAST CHANCE"}}, "digest.title"),
        ("POST", "/v1/categories", {"name": "new", "digest": {**DIGEST, "template": "old"}}, "digest.title"),
    ]
    for method, path, body, field in places:
        refused = await api.server.call(method, path, body)
        assert (refused.status, refused.json["code"]) == (400, "invalid_request"), (path, refused)
        assert "the rule capitals blocks in this project" in refused.fields[field]
    calm = {**notification, "title": "Last chance for 50% off"}
    assert (await api.server.post("/v1/notifications", calm)).status == 202


@pytest.mark.parametrize("text", ["{% for one in data.items %}{{ one.name }}{% endfor %}", '{{ user.get("name") }}'])
async def test_a_text_that_goes_through_what_is_not_known_yet_is_taken(api: ApiWorld, text: str) -> None:
    made = await api.server.post("/v1/templates", {"name": "t", "locales": {"en": {"title": "Hi", "body": text}}})
    assert made.status == 201, made


async def test_what_a_digest_says_of_what_it_stands_for_blocks_nothing(api: ApiWorld) -> None:
    await block(api, *RULES)
    texts = {
        "title": "{{ count }} new {{ count | plural(one='comment', other='comments') }}",
        "body": "{{ last.body }}",
    }
    told = await api.server.put("/v1/categories/general", {"digest": {**DIGEST, **texts}})
    assert told.status == 200, told
    names = "{{ items | map(attribute='data.author') | unique | join(', ') }}"
    named = {"name": "t", "locales": {"en": {"title": f"New from {names}", "body": "{{ first.title }}"}}}
    assert (await api.server.post("/v1/templates", named)).status == 201
    refused = await api.server.put("/v1/categories/general", {"digest": {**DIGEST, "title": "Hi {{ user.name }}"}})
    assert "the rule personalisation blocks" in refused.fields["digest.title"]
