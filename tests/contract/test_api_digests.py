"""Digests through the API: of informational categories only; each item and its digest name each other."""

from typing import Any

import pytest

from contract.api_world import ApiWorld

FIXED = {"kind": "fixed", "seconds": 600}
DIGEST = {"window": FIXED, "title": "{{ count }} new comments"}
FILLED = {
    "key": None,
    "template": None,
    "body": None,
    "url": None,
    "min_items": 2,
    "max_items": 100,
    "immediate_first": False,
    "urgent_passes": True,
}


async def test_a_category_has_a_digest_until_it_is_replaced_without_one(api: ApiWorld) -> None:
    windows: list[dict[str, Any]] = [
        FIXED,
        {"kind": "sliding", "seconds": 60, "max_seconds": 900},
        {"kind": "scheduled", "at": ["18:00", "08:00", "18:00"]},
    ]
    for window in windows:
        told = await api.server.put("/v1/categories/general", {"digest": {**DIGEST, "window": window}})
        kept = {**window, "at": ["08:00", "18:00"]} if "at" in window else window
        assert told.json["digest"] == {**DIGEST, **FILLED, "window": kept}
        assert (await api.server.get("/v1/categories/general")).json == told.json
    assert (await api.server.put("/v1/categories/general", {})).json["digest"] is None


WRONG = [
    ({}, "digest.window", "required"),
    ({"window": {"kind": "rolling", "seconds": 5}}, "digest.window.kind", "fixed, scheduled, sliding"),
    ({"window": {**FIXED, "seconds": 0}}, "digest.window.seconds", "1"),
    (
        {"window": {"kind": "sliding", "seconds": 60, "max_seconds": 30}},
        "digest.window.max_seconds",
        "at least seconds",
    ),
    ({"window": {"kind": "scheduled", "at": ["8:00"]}}, "digest.window.at[0]", "time of day such as"),
    ({"window": {"kind": "scheduled", "at": []}}, "digest.window.at", "1"),
    ({**DIGEST, "title": None}, "digest.title", "needed unless a template"),
    ({**DIGEST, "title": "{{ count | nonsense }}"}, "digest.title", "nonsense"),
    ({**DIGEST, "body": "{{ first.title "}, "digest.body", "syntax"),
    ({**DIGEST, "url": "{{ nothing }}"}, "digest.url", "undefined"),
    ({**DIGEST, "key": "{{ user.id }}"}, "digest.key", "undefined"),
    ({**DIGEST, "template": "none"}, "digest.template", "no template none"),
    ({**DIGEST, "min_items": 5, "max_items": 4}, "digest.max_items", "at least min_items"),
    ({**DIGEST, "min_items": 1}, "digest.min_items", "2"),
    ({**DIGEST, "windw": 1}, "digest.windw", "not a field"),
]


@pytest.mark.parametrize(("digest", "field", "word"), WRONG)
async def test_what_cannot_be_is_refused_by_its_field(api: ApiWorld, digest: dict, field: str, word: str) -> None:
    refused = await api.server.put("/v1/categories/general", {"digest": {"window": FIXED, **digest} if digest else {}})
    assert refused.status == 400, refused
    assert word in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/categories/general")).json["digest"] is None


@pytest.mark.parametrize("class_", ["mandatory", "marketing"])
async def test_only_informational_messages_are_collected(api: ApiWorld, class_: str) -> None:
    refused = await api.server.put("/v1/categories/general", {"class": class_, "digest": DIGEST})
    assert "must be left out" in refused.fields["digest"]


async def test_a_category_that_lists_its_templates_takes_one_of_those(api: ApiWorld) -> None:
    await api.server.post("/v1/templates", {"name": "one", "locales": {"en": {"title": "{{ items | length }} new"}}})
    await api.server.post("/v1/templates", {"name": "two", "locales": {"en": {"title": "{{ count }} new"}}})
    for named, word in (("two", "one of one"), (None, "is needed")):
        category = {"templates": ["one"], "digest": {**DIGEST, "template": named}}
        refused = await api.server.put("/v1/categories/general", category)
        assert word in refused.fields["digest.template"]
    category = {"templates": ["one"], "digest": {"window": FIXED, "template": "one"}}
    assert (await api.server.put("/v1/categories/general", category)).status == 200


async def test_an_item_names_its_digest_and_the_digest_its_items(api: ApiWorld) -> None:
    await api.server.put("/v1/categories/general", {"digest": DIGEST})
    await api.world.subscribe("ada")
    sent = [await api.server.post("/v1/notifications", {"to": {"users": ["ada"]}, "title": title}) for title in "ab"]
    ids = [one.json["id"] for one in sent]
    await api.world.work()
    shown = (await api.server.get(f"/v1/notifications/{ids[0]}")).json
    assert (shown["state"], shown["counts"]["reasons"], shown["digest_of"]) == ("running", {"digest": 1}, [])
    api.world.clock.advance(minutes=10)
    await api.world.work()
    [decision] = (await api.server.get(f"/v1/notifications/{ids[0]}/decisions")).json["items"]
    assert (decision["decision"], decision["reason"]) == ("send", "in_digest")
    digest = (await api.server.get(f"/v1/notifications/{decision['digest_id']}")).json
    assert digest["digest_of"] == ids
    assert digest["counts"]["deliveries"] == {"accepted": 1}
    shown = (await api.server.get(f"/v1/notifications/{ids[0]}")).json
    assert (shown["state"], shown["counts"]["decisions"]) == ("done", {"send": 1})
    trial = {"to": {"users": ["ada"]}, "title": "c", "dry_run": True}
    assert (await api.server.post("/v1/notifications", trial)).json["counts"] == {"digest": 1}


async def test_what_a_digest_needs_cannot_go_away_under_it(api: ApiWorld) -> None:
    await api.server.post("/v1/partials", {"name": "sum", "locales": {"en": "{{ count }} new"}})
    await api.server.post("/v1/templates", {"name": "t", "locales": {"en": {"title": "{{ count }} new"}}})
    await api.server.post("/v1/categories", {"name": "a", "digest": {"window": FIXED, "template": "t"}})
    body = {"name": "b", "digest": {"window": FIXED, "title": "{% include 'sum' %}"}}
    assert (await api.server.post("/v1/categories", body)).status == 201
    kept = await api.server.delete("/v1/templates/t")
    assert (kept.status, kept.json["code"]) == (409, "conflict")
    assert "the digest of the category a needs it" in kept.json["detail"]
    assert (await api.server.delete("/v1/partials/sum")).status == 409
    broken = await api.server.put("/v1/partials/sum", {"locales": {"en": "{{ event.name }}"}})
    assert "b would not work" in broken.fields["locales"]
    for name in "ab":
        assert (await api.server.put(f"/v1/categories/{name}", {})).status == 200
    assert (await api.server.delete("/v1/templates/t")).status == 204
    assert (await api.server.delete("/v1/partials/sum")).status == 204
