"""Campaigns through the API: what cannot be is refused by its field, and how far one is can be read at any time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contract.api_world import ApiWorld
from story.world import titles

SPRING: dict[str, Any] = {"name": "spring", "to": {"everyone": True}, "notification": {"title": "New shoes"}}


def told(seconds: int, api: ApiWorld) -> str:
    return datetime.fromtimestamp(api.world.clock.now() / 1000 + seconds, UTC).isoformat()


async def test_defined_read_replaced_deleted(api: ApiWorld) -> None:
    made = await api.server.post("/v1/campaigns", SPRING)
    assert (made.status, made.json["state"], made.json["schedule"]["now"]) == (201, "draft", True)
    assert (await api.server.post("/v1/campaigns", SPRING)).status == 409
    listed = (await api.server.get("/v1/campaigns")).json
    assert listed == {"items": [made.json], "next_cursor": None}
    body = {name: value for name, value in made.json.items() if name in SPRING | {"schedule": 0, "state": 0}}
    again = await api.server.put("/v1/campaigns/spring", body | {"rate": 50})  # what was read can be sent back
    assert again.json == made.json | {"rate": 50}
    renamed = await api.server.put("/v1/campaigns/spring", SPRING | {"name": "autumn"})
    assert "cannot be changed" in renamed.fields["name"]
    assert (await api.server.delete("/v1/campaigns/spring")).status == 204
    for call in (api.server.get, api.server.delete):
        assert (await call("/v1/campaigns/spring")).status == 404
    assert (await api.server.post("/v1/campaigns/spring/start")).status == 404


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"to": {}}, "to", "exactly one"),
    ({"to": {"devices": ["0" * 32]}}, "to.devices", "for people"),
    ({"to": {"segment": "nobody"}}, "to.segment", "no segment nobody"),
    ({"notification": {}}, "notification.title", "needed unless"),
    ({"notification": {"title": "x", "template": "none"}}, "notification.template", "no template none"),
    ({"notification": {"title": "{{ user.name"}}, "notification.title", "syntax"),
    ({"schedule": {}}, "schedule", "exactly one of now, at, cron, local_time"),
    ({"schedule": {"now": True, "at": "2028-01-01T00:00:00Z"}}, "schedule", "exactly one"),
    ({"schedule": {"cron": "0 9 * * *"}}, "schedule.timezone", "needed beside cron"),
    ({"schedule": {"now": True, "timezone": "UTC"}}, "schedule.cron", "needed beside timezone"),
    ({"schedule": {"cron": "0 9 * * *", "timezone": "Mars/Base"}}, "schedule.timezone", "IANA"),
    ({"schedule": {"cron": "0 0 30 2 *", "timezone": "UTC"}}, "schedule.cron", "never runs"),
    ({"schedule": {"cron": "every day", "timezone": "UTC"}}, "schedule.cron", "five fields"),
    ({"schedule": {"local_time": "9"}}, "schedule.local_time", "such as 09:00"),
    ({"schedule": {"local_time": "2020-01-01T09:00"}}, "schedule.local_time", "over everywhere"),
    (
        {"schedule": {"cron": "0 0 * * *", "timezone": "UTC", "local_time": "2028-01-01T09:00"}},
        "schedule.local_time",
        "time of day",
    ),
    ({"schedule": {"at": "2028-01-01T00:00:00Z", "missed": "never"}}, "schedule.missed", "catch_up"),
    ({"schedule": {"local_time": "09:00"}, "rate": 5}, "rate", "zone by zone"),
    ({"rate": 0}, "rate", "1"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "future"),
    ({"schedule": {"at": "2020-01-01T00:00:00Z"}}, "schedule.at", "is over"),
    (
        {"schedule": {"at": "2028-01-02T00:00:00Z"}, "expires_at": "2028-01-01T00:00:00Z"},
        "expires_at",
        "later than schedule.at",
    ),
    ({"goal": {"event": "order"}}, "goal.within", "required"),
    ({"gaol": {}}, "gaol", "not a field"),
]


@pytest.mark.parametrize(("change", "field", "word"), WRONG)
async def test_what_cannot_be_is_refused_by_its_field(
    api: ApiWorld, change: dict[str, Any], field: str, word: str
) -> None:
    refused = await api.server.post("/v1/campaigns", SPRING | change)
    assert refused.status == 400, refused
    assert word in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/campaigns")).json["items"] == []


async def test_from_start_to_done(api: ApiWorld) -> None:
    for name in ("ada", "bob"):
        await api.world.subscribe(name)
    body = SPRING | {"schedule": {"at": told(60, api)}, "goal": {"event": "order", "within": 600}}
    await api.server.post("/v1/campaigns", body)
    begun = (await api.server.post("/v1/campaigns/spring/start")).json
    assert (begun["state"], begun["next_run_at"], begun["runs"]) == ("scheduled", begun["schedule"]["at"], [])
    api.world.clock.advance(60_000)
    await api.world.pipeline.campaigns.tick()
    running = (await api.server.get("/v1/campaigns/spring")).json
    assert (running["state"], running["progress"]["audience"], running["progress"]["decided"]) == ("running", 2, 0)
    paused = (await api.server.post("/v1/campaigns/spring/pause")).json
    [run] = paused["runs"]
    shown = (await api.server.get(f"/v1/notifications/{run['id']}")).json
    assert (paused["state"], shown["state"], shown["campaign"]) == ("paused", "paused", "spring")
    assert shown["paused_at"] == paused["paused_at"]
    await api.world.work()
    assert api.world.browser.sent == []
    for verb in ("start", "pause"):
        refused = await api.server.post(f"/v1/campaigns/spring/{verb}")
        assert (refused.status, refused.json["code"]) == (409, "conflict")
    assert (await api.server.put("/v1/campaigns/spring", SPRING)).status == 409
    assert (await api.server.delete("/v1/campaigns/spring")).status == 409
    assert (await api.server.post("/v1/campaigns/spring/resume")).json["state"] == "running"
    await api.world.work()
    assert titles(api.world.browser.sent) == ["New shoes"] * 2
    await api.world.happens("ada", "order")
    done = (await api.server.get("/v1/campaigns/spring")).json
    assert (done["state"], done["progress"]["decided"], done["progress"]["converted"]) == ("done", 2, 1)
    assert done["progress"]["counts"]["deliveries"] == {"accepted": 2}
    assert (await api.server.post("/v1/campaigns/spring/cancel")).status == 409


async def test_a_draft_whose_moment_is_over_does_not_begin_at_once(api: ApiWorld) -> None:
    await api.subscribe("ada")
    await api.server.post("/v1/campaigns", SPRING | {"schedule": {"at": told(60, api), "missed": "skip"}})
    api.world.clock.advance(60_000 + 301_000)
    refused = await api.server.post("/v1/campaigns/spring/start")
    assert (refused.status, refused.fields) == (400, {"schedule.at": "is over"})
    await api.world.work()
    assert (api.world.browser.sent, (await api.server.get("/v1/campaigns/spring")).json["state"]) == ([], "draft")


async def test_calls_that_send_need_a_key_that_may(api: ApiWorld) -> None:
    await api.server.post("/v1/campaigns", SPRING)
    for call in ("start", "pause", "resume", "cancel"):
        assert (await api.browser.post(f"/v1/campaigns/spring/{call}")).status in (401, 403)
        assert (await api.anyone.post(f"/v1/campaigns/spring/{call}")).status == 401
    assert (await api.server.get("/v1/campaigns/spring")).json["state"] == "draft"


async def test_a_notification_by_local_time(api: ApiWorld) -> None:
    await api.server.put("/v1/users/ada", {"timezone": "Asia/Tokyo"})
    body = {"to": {"users": ["ada"]}, "title": "Hi", "local_time": "2028-12-01T09:00", "local_time_passed": "skip"}
    trial = (await api.server.post("/v1/notifications", body | {"dry_run": True})).json
    assert trial["counts"] == {"schedule": 1}
    made = (await api.server.post("/v1/notifications", body)).json
    shown = (await api.server.get(f"/v1/notifications/{made['id']}")).json
    assert shown["state"] == "scheduled"
    assert (shown["request"]["local_time"], shown["request"]["local_time_passed"]) == ("2028-12-01T09:00", "skip")
    assert shown["request"]["send_at"] == "2028-11-30T19:00:00.000Z"  # where the day begins first
