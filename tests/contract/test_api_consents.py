"""Consents that were given elsewhere, the version of their words, and what a browser's answer leaves in the ledger."""

from typing import Any

import pytest

from contract.api_world import ApiWorld, subscription


async def ledger(api: ApiWorld, user: str = "u1") -> list[dict[str, Any]]:
    return (await api.server.get(f"/v1/users/{user}/consent")).json["ledger"]


def entry(user: str = "u1", granted: bool = True, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "category": "general", "channel": "push", "granted": granted, **more}


async def test_a_batch_of_many_people(api: ApiWorld) -> None:
    entries = [entry(f"u{number}", number % 2 == 0, wording="Yes!", wording_version="v2") for number in range(1_000)]
    taken = await api.server.post("/v1/consents", {"consents": entries})
    assert (taken.status, taken.json) == (200, {"accepted": 1_000, "duplicates": 0, "errors": []})
    [line] = await ledger(api, "u7")
    assert (line["granted"], line["source"], line["wording_version"]) == (False, "import", "v2")
    refused = await api.server.post("/v1/consents", {"consents": [*entries, entry("one-too-many")]})
    assert (refused.status, list(refused.fields)) == (400, ["consents"])


async def test_a_no_that_was_said_since_then_stands(api: ApiWorld) -> None:
    no = entry(granted=False, source="form")
    del no["user_id"]
    await api.server.put("/v1/users/u1/consent", no)
    taken = await api.server.post(
        "/v1/consents", {"consents": [entry(at="2020-01-01T00:00:00Z"), entry("u2", at="2020-01-01T00:00:00Z")]}
    )
    assert taken.json["accepted"] == 1
    [left] = taken.json["errors"]
    assert (left["index"], left["code"], left["field"]) == (0, "superseded", "consents[0].at")
    assert [line["granted"] for line in await ledger(api)] == [False]
    [line] = await ledger(api, "u2")
    assert line["said_at"] == "2020-01-01T00:00:00.000Z"


async def test_taking_over_twice_is_taking_over_once(api: ApiWorld) -> None:
    batch = {"consents": [entry(at="2020-01-01T00:00:00Z"), entry(granted=False, at="2021-01-01T00:00:00Z")]}
    assert (await api.server.post("/v1/consents", batch)).json["accepted"] == 2
    assert (await api.server.post("/v1/consents", batch)).json["accepted"] == 0
    assert [line["granted"] for line in await ledger(api)] == [True, False]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"category": "nope"}, "consents[1].category"),
        ({"channel": "fax"}, "consents[1].channel"),
        ({"at": "2999-01-01T00:00:00Z"}, "consents[1].at"),
        ({"wording_version": ""}, "consents[1].wording_version"),
        ({"grantd": True}, "consents[1].grantd"),
    ],
)
async def test_where_an_entry_is_wrong_none_is_taken(api: ApiWorld, wrong: dict[str, Any], field: str) -> None:
    refused = await api.server.post("/v1/consents", {"consents": [entry(), entry("u2") | wrong]})
    assert (refused.status, list(refused.fields)) == (400, [field])
    assert (await api.server.get("/v1/users/u1/consent")).status == 404


async def test_the_version_of_the_words_is_kept(api: ApiWorld) -> None:
    said = {"category": "general", "granted": True, "wording": "Yes", "wording_version": "2026-11"}
    await api.server.put("/v1/users/u1/consent", {**said, "source": "form"})
    device = await api.browser.post("/v1/sdk/devices", subscription())
    browser = api.browser.with_headers(Clarion_User=device.json["user_token"])
    assert (await browser.put("/v1/sdk/preferences", said)).status == 200
    for user in ("u1", device.json["user_id"]):
        assert {line["wording_version"] for line in await ledger(api, user)} == {"2026-11"}


async def test_a_browser_that_takes_permission_back_leaves_a_line_and_no_refusal(api: ApiWorld) -> None:
    told = {"installation": "i-1", **subscription()}
    await api.subscribe(**told)
    await api.subscribe("u1", **subscription("phone"))
    for permission in ("denied", "denied", "granted", "granted"):
        await api.subscribe(**told, permission=permission)
    lines = [(line["category"], line["channel"], line["granted"], line["source"]) for line in await ledger(api)]
    assert lines == [("*", "push", False, "browser_revoked"), ("*", "push", True, "browser_granted")]
    assert (await api.server.get("/v1/users/u1/consent")).json["current"] == []
    story = (await api.server.get("/v1/users/u1/story")).json["chapters"]
    assert "Permission was taken back" in [chapter["what"] for chapter in story]


async def test_a_blocked_browser_says_nothing_about_the_phone(api: ApiWorld) -> None:
    told = {"installation": "i-1", **subscription()}
    await api.subscribe(**told)
    await api.subscribe("u1", **subscription("phone"))
    await api.subscribe(**told, permission="denied")
    run = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hi", "dry_run": True})
    assert run.json["counts"] == {"send": 1}
