"""Whom we lose, through the door: the table, the alerts, the metrics and the story of a person."""

from typing import Any

import pytest

from clarion.model import DAY_MS, ReceiptKind
from contract.api_world import ApiWorld
from contract.support import NOW, loss_alert, new_project, stoppage

HOUR_MS = 3_600_000


async def send(api: ApiWorld, *users: str, **message: Any) -> str:
    body = {"to": {"users": list(users)}, "title": "Mugs", **message}
    sent = await api.server.post("/v1/notifications", body)
    assert sent.status == 202
    await api.world.work()
    return sent.json["id"]


async def two_people(api: ApiWorld) -> None:
    """Both got an offer, one tapped."""
    await api.server.post("/v1/categories", {"name": "offers", "class": "informational"})
    for name in ("ada", "bob"):
        await api.subscribe(name)
    await send(api, "ada", "bob", category="offers")
    await api.world.device_tells(api.world.browser.sent[0], ReceiptKind.CLICKED)


async def test_people_lost_stand_beside_taps(api: ApiWorld) -> None:
    await two_people(api)
    said = {"category": "offers", "granted": False, "source": "profile page"}
    await api.server.put("/v1/users/bob/consent", said)
    answer = (await api.server.get("/v1/losses")).json
    assert (answer["by"], answer["next_cursor"]) == ("category", None)
    assert (answer["since"], answer["until"]) == ("2027-01-09T00:00:00.000Z", "2027-01-16T00:00:00.000Z")
    half = {"value": 0.5, "low": 0.094531, "high": 0.905469}
    assert answer["items"] == [
        {
            "name": "offers",
            "reached": 2,
            "delivered": 1,
            "tapped": 1,
            "lost": 1,
            "opt_outs": 1,
            "permissions": 0,
            "subscriptions": 0,
            "delivered_rate": half,
            "tap_rate": half,
            "loss_rate": half,
            "doubled_since": None,
        }
    ]


async def test_what_was_imported_is_no_loss(api: ApiWorld) -> None:
    await two_people(api)
    told = {"consents": [{"user_id": "ada", "category": "offers", "granted": False}]}
    assert (await api.server.post("/v1/consents", told)).status == 200
    assert (await api.server.get("/v1/losses?days=1")).json["items"][0]["lost"] == 0
    chapters = (await api.server.get("/v1/users/bob/story")).json["chapters"]
    assert all("loss" not in chapter["detail"] for chapter in chapters)


async def test_a_persons_story_tells_what_came_before(api: ApiWorld) -> None:
    await two_people(api)
    other = await send(api, "bob", category="offers", title="More mugs")
    api.world.clock.advance(HOUR_MS)
    said = {"category": "offers", "channel": "push", "granted": False, "source": "sdk"}
    await api.server.put("/v1/users/bob/consent", said)
    chapters = (await api.server.get("/v1/users/bob/story")).json["chapters"]
    [told] = [chapter for chapter in chapters if "loss" in chapter["detail"]]
    assert (told["stage"], told["what"]) == ("learn", "Lost for offers by push within a day of 2 messages")
    assert told["detail"]["loss"] == "opt_out"
    assert other in told["detail"]["notification_ids"]
    around = (await api.server.get(f"/v1/users/bob/story?notification_id={other}")).json["chapters"]
    assert "Lost for offers by push within a day of 2 messages" in [chapter["what"] for chapter in around]


@pytest.mark.parametrize(
    ("query", "field"), [("by=title", "by"), ("days=0", "days"), ("days=366", "days"), ("window=7", "window")]
)
async def test_a_question_that_is_none_is_refused(api: ApiWorld, query: str, field: str) -> None:
    answer = await api.server.get(f"/v1/losses?{query}")
    assert (answer.status, list(answer.fields)) == (400, [field])


@pytest.mark.parametrize("by", ["category", "template", "campaign"])
async def test_without_messages_there_is_nobody(api: ApiWorld, by: str) -> None:
    assert (await api.server.get(f"/v1/losses?by={by}&days=1")).json["items"] == []


@pytest.mark.parametrize(("scope", "status"), [("read", 200), ("send", 403)])
async def test_losses_need_the_scope_read(api: ApiWorld, scope: str, status: int) -> None:
    caller = await api.key(kind="server", name=scope, scopes=[scope])
    assert (await caller.get("/v1/losses")).status == status


async def test_an_alert_tells_how_many_more_are_lost(api: ApiWorld) -> None:
    store, mine = api.world.store, api.world.project.key
    other = await new_project(store, "other")
    await store.losses.put_alerts(other.key, [loss_alert(other.key, "theirs")])
    await store.losses.put_alerts(mine, [loss_alert(mine)])
    await store.stoppages.put(stoppage(mine, since=NOW - 1))
    first, second = (await api.server.get("/v1/alerts")).json["items"]
    assert first["alert"] == "provider_stopped"
    assert second == {
        "alert": "losses_doubled",
        "by": "category",
        "name": "offers",
        "detail": "24 of 1000 people lost (2.40 %), usually 0.80 %",
        "since": "2027-01-15T08:00:00.000Z",
        "reached": 1000,
        "lost": 24,
        "usual_reached": 10000,
        "usual_lost": 80,
        "ratio": 3.0,
        "ratio_low": 1.7,
    }


async def test_an_alert_keeps_since_when_it_stands_and_tells_what_is_new(api: ApiWorld) -> None:
    store, mine = api.world.store, api.world.project.key
    first, later = loss_alert(mine), loss_alert(mine, since=NOW + DAY_MS, lost=30, usual_lost=0)
    assert await store.losses.put_alerts(mine, [first]) == ([first], [])
    assert await store.losses.put_alerts(mine, [later]) == ([], [])
    [told] = (await api.server.get("/v1/alerts")).json["items"]
    assert (told["since"], told["lost"], told["ratio"]) == ("2027-01-15T08:00:00.000Z", 30, None)
    new = loss_alert(mine, "news")
    begun, [over] = await store.losses.put_alerts(mine, [new])
    assert (begun, over.name, over.since) == ([new], "offers", NOW)


async def test_the_metrics_have_a_gauge_for_each_alert(api: ApiWorld) -> None:
    line = f'clarion_losses_doubled{{by="category",name="offers",project="{api.world.project.id}"}} 1.0'
    assert line not in (await api.anyone.get("/metrics")).body.decode()
    mine = api.world.project.key
    await api.world.store.losses.put_alerts(mine, [loss_alert(mine)])
    assert line in (await api.anyone.get("/metrics")).body.decode()
