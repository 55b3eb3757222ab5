"""Alerts: what the API, the metrics and a person's story say while a push service is stopped."""

import pytest

from clarion.ports import BadCredentials
from contract.api_world import ApiWorld
from contract.support import NOW, new_project, stoppage


async def test_without_trouble_there_is_no_alert(api: ApiWorld) -> None:
    assert (await api.server.get("/v1/alerts")).json == {"items": [], "next_cursor": None}


async def test_an_alert_tells_what_is_stopped_since_when_and_why(api: ApiWorld) -> None:
    await api.world.store.stoppages.put(stoppage(api.world.project.key, failures=3))
    assert (await api.server.get("/v1/alerts")).json["items"] == [
        {
            "alert": "provider_stopped",
            "kind": "apns",
            "lane": "production/com.example.shop",
            "reason": "bad_credentials",
            "detail": "403 InvalidProviderToken",
            "credential": "team",
            "since": "2027-01-15T08:00:00.000Z",
            "again_at": "2027-01-15T08:01:00.000Z",
            "failures": 3,
        }
    ]


async def test_alerts_come_oldest_first_and_only_the_own_ones(api: ApiWorld) -> None:
    store, mine = api.world.store, api.world.project.key
    other = await new_project(store, "other")
    for project, lane, since in ((mine, "b", NOW), (mine, "a", NOW + 1), (other.key, "c", NOW)):
        await store.stoppages.put(stoppage(project, lane=lane, since=since))
    assert [each["lane"] for each in (await api.server.get("/v1/alerts")).json["items"]] == ["b", "a"]


@pytest.mark.parametrize(("scope", "status"), [("read", 200), ("send", 403)])
async def test_alerts_need_the_scope_read(api: ApiWorld, scope: str, status: int) -> None:
    caller = await api.key(kind="server", name=scope, scopes=[scope])
    assert (await caller.get("/v1/alerts")).status == status
    assert (await api.browser.get("/v1/alerts")).status == 403


async def test_the_metrics_have_a_gauge_for_each_stopped_lane(api: ApiWorld) -> None:
    gauge = 'clarion_provider_stopped{kind="apns",lane="production/com.example.shop",project="%s"} 1.0'
    line = gauge % api.world.project.id
    assert line not in (await api.anyone.get("/metrics")).body.decode()
    one = stoppage(api.world.project.key)
    await api.world.store.stoppages.put(one)
    assert line in (await api.anyone.get("/metrics")).body.decode()
    await api.world.store.stoppages.end(one.place)
    assert line not in (await api.anyone.get("/metrics")).body.decode()


async def test_deliveries_and_the_story_say_what_a_message_waits_for(api: ApiWorld) -> None:
    await api.subscribe("u1", address="https://updates.push.services.mozilla.com/wpush/v2/u1")
    api.world.browser.then(BadCredentials("403 BadJwtToken"))
    await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})
    await api.world.work()
    [delivery] = (await api.server.get("/v1/deliveries?user_id=u1")).json["items"]
    assert (delivery["state"], delivery["reason"], delivery["attempts"]) == ("queued", "provider_down", 0)
    chapters = (await api.server.get("/v1/users/u1/story")).json["chapters"]
    assert chapters[-1]["what"] == "Delivery queued: provider_down"
    api.world.clock.advance(seconds=60)
    await api.world.work()
    [delivery] = (await api.server.get("/v1/deliveries?user_id=u1")).json["items"]
    assert (delivery["state"], delivery["reason"]) == ("accepted", None)


async def test_a_rate_is_kept_with_its_credential_and_goes_when_it_is_not_given(api: ApiWorld) -> None:
    made = await api.server.post("/v1/credentials", {"kind": "webpush", "current": False, "rate": 250})
    assert (made.status, made.json["rate"]) == (201, 250)
    path = f"/v1/credentials/{made.json['name']}"
    assert (await api.server.get(path)).json["rate"] == 250
    listed = (await api.server.get("/v1/credentials")).json["items"]
    assert {each["name"]: each["rate"] for each in listed}[made.json["name"]] == 250
    assert (await api.server.put(path, {"kind": "webpush", "current": False})).json["rate"] is None
