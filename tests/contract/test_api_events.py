"""Events and receipts: the bare routes, one by one and in batches."""

import msgspec
import pytest

from clarion.api.fields import told
from clarion.model import DAY_MS, ReceiptKind
from clarion.testing import ManualClock
from contract.api_world import Api, ApiWorld

BAD = [
    ({"name": "x"}, "user_id", "is required"),
    ({"user_id": "u1"}, "name", "is required"),
    ({"user_id": "u1", "name": 5}, "name", "must be text, got a whole number"),
    ({"user_id": "", "name": "x"}, "user_id", "at least 1 "),
    ({"user_id": "u" * 256, "name": "x"}, "user_id", "at most 255 characters"),
    ({"user_id": "u1", "name": "x", "propertys": {}}, "propertys", "did you mean properties?"),
    ({"user_id": "u1", "name": "x", "properties": []}, "properties", "must be an object, got a list"),
    ({"user_id": "u1", "name": "x", "properties": {"a": "\0"}}, "properties.a", "U+0000"),
    ({"user_id": "u1", "name": "x", "occurred_at": "2026-11-22T17:00:00"}, "occurred_at", "with a zone"),
    ({"user_id": "u1", "name": "x", "occurred_at": "yesterday"}, "occurred_at", "RFC 3339"),
    ({"user_id": "u1", "name": "x", "occurred_at": 1700000000}, "occurred_at", "RFC 3339"),
    ({"user_id": "u1", "name": "x", "occurred_at": "1582-10-15T00:00:00Z"}, "occurred_at", "1970"),
    ({"user_id": "u1", "name": "x", "occurred_at": "9999-12-31T23:59:59-23:00"}, "occurred_at", "9998"),
    ({"user_id": "u1", "name": "x", "id": 5}, "id", "must be text"),
]


async def events_of(api: ApiWorld, user_id: str) -> list[dict]:
    return (await api.server.get(f"/v1/users/{user_id}/export")).json["events"]


async def test_one_event_is_taken(api: ApiWorld) -> None:
    body = {
        "user_id": "u1",
        "name": "ordered",
        "properties": {"a": [1, {"b": None}], "big": 2**70},
        "occurred_at": "2026-11-22T18:30:00.250+01:30",
        "id": "e1",
    }
    taken = await api.server.post("/v1/events", body)
    assert (taken.status, taken.json) == (202, {"accepted": 1, "duplicates": 0, "errors": []})
    again = await api.server.post("/v1/events", body)
    assert again.json == {"accepted": 0, "duplicates": 1, "errors": []}
    [event] = await events_of(api, "u1")
    assert event["occurred_at"] == "2026-11-22T17:00:00.250Z"
    assert event["properties"]["a"] == [1, {"b": None}]


async def test_absent_and_null_are_the_same(api: ApiWorld) -> None:
    body = {"user_id": "u1", "name": "seen", "properties": None, "occurred_at": None, "id": None}
    assert (await api.server.post("/v1/events", body)).json["accepted"] == 1
    assert await events_of(api, "u1") == [
        {"name": "seen", "properties": {}, "occurred_at": "2027-01-15T08:00:00.000Z", "id": None}
    ]


@pytest.mark.parametrize(("body", "field", "word"), BAD)
async def test_a_wrong_field_of_an_event_is_named(api: ApiWorld, body: dict, field: str, word: str) -> None:
    refused = await api.server.post("/v1/events", body)
    assert refused.status == 400
    assert word in refused.fields[field]


@pytest.mark.parametrize(("bad", "field", "word"), BAD)
async def test_the_good_ones_of_a_batch_are_kept(api: ApiWorld, bad: dict, field: str, word: str) -> None:
    good = [{"user_id": "u1", "name": "seen", "properties": {"n": n}} for n in range(3)]
    taken = await api.server.post("/v1/events", {"events": [good[0], bad, *good[1:]]})
    assert taken.status == 202
    assert (taken.json["accepted"], taken.json["duplicates"]) == (3, 0)
    [error] = taken.json["errors"]
    assert (error["index"], error["code"], error["field"]) == (1, "invalid_request", f"events[1].{field}")
    assert word in error["message"]
    assert len(await events_of(api, "u1")) == 3


async def test_an_id_counts_once_within_a_batch_too(api: ApiWorld) -> None:
    event = {"user_id": "u1", "name": "seen", "id": "e1"}
    taken = await api.server.post("/v1/events", {"events": [event, event, {**event, "id": "e2"}]})
    assert taken.json == {"accepted": 2, "duplicates": 1, "errors": []}


async def test_a_batch_has_at_most_a_thousand(api: ApiWorld) -> None:
    events = [{"user_id": f"u{n}", "name": "seen"} for n in range(1001)]
    assert (await api.server.post("/v1/events", {"events": events[:1000]})).json["accepted"] == 1000
    refused = await api.server.post("/v1/events", {"events": events})
    assert (refused.status, refused.fields) == (400, {"events": "must be a list of at most 1000 items"})
    assert (await api.server.post("/v1/events", {"events": []})).json == {"accepted": 0, "duplicates": 0, "errors": []}


async def test_a_batch_as_such_can_be_wrong(api: ApiWorld) -> None:
    event = {"user_id": "u1", "name": "seen"}
    assert "events" in (await api.server.post("/v1/events", {"events": 5})).fields
    assert "user_id" in (await api.server.post("/v1/events", {"events": [event], "user_id": "u1"})).fields
    assert "body" in (await api.server.post("/v1/events", [event])).fields
    assert (await api.server.post("/v1/events", {"events": [5, event]})).json["errors"][0]["field"] == "events[0]"


async def test_a_number_that_is_none_is_told(api: ApiWorld) -> None:
    body = b'{"user_id": "u1", "name": "x", "properties": {"total": 1e999}}'
    refused = await api.server.call("POST", "/v1/events", body=body, headers={"Content-Type": "application/json"})
    assert refused.fields == {"properties[...]": "must be a number within the range of a double"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"user_id": "u1", "name": "cut \\ud83d"}', "name"),
        (b'{"user_id": "u1", "name": "x", "properties": {"title": ["a \\uDE00 b"]}}', "properties.title[0]"),
        (b'{"user_id": "u1", "name": "x", "properties": {"cut \\ud83d": 1}}', "properties (a name)"),
        (b'{"user_id": "u1", "name": "x", "properties": {"a": "\\ud83d\\ud83d\\ude00"}}', "properties.a"),
    ],
)
async def test_half_of_an_emoji_is_named_and_spoils_no_batch(api: ApiWorld, text: bytes, named: str) -> None:
    """What callers send who cut a text after so many UTF-16 units, as JavaScript and Java count them."""
    refused = await api.server.post("/v1/events", body=text)
    assert refused.status == 400
    assert "half of a surrogate pair" in refused.fields[named]
    whole = b'{"user_id": "u1", "name": "seen", "properties": {"a": "\\ud83d\\ude00 \\\\ud83d"}}'
    taken = await api.server.post("/v1/events", body=b'{"events": [%b, %b, %b]}' % (whole, text, whole))
    assert (taken.status, taken.json["accepted"]) == (202, 2)
    assert [(error["index"], error["field"]) for error in taken.json["errors"]] == [(1, f"events[1].{named}")]
    assert [event["properties"] for event in await events_of(api, "u1")] == [{"a": "\U0001f600 \\ud83d"}] * 2


async def test_nesting_is_bounded_in_batches_too(api: ApiWorld) -> None:
    deep: dict = {}
    for _ in range(40):
        deep = {"deeper": deep}
    events = [{"user_id": "u1", "name": "x", "properties": deep}, {"user_id": "u1", "name": "x"}]
    taken = await api.server.post("/v1/events", {"events": events})
    assert taken.json["accepted"] == 1
    assert "32 levels" in taken.json["errors"][0]["message"]


async def test_an_event_becomes_a_notification_by_its_automation(api: ApiWorld) -> None:
    await api.subscribe("u1")
    made = await api.server.post(
        "/v1/automations",
        {
            "name": "order shipped",
            "on": {"event": "order_shipped"},
            "notification": {"title": "Order {{ event.properties.order_id }} is on its way"},
        },
    )
    assert made.status == 201
    await api.server.post("/v1/events", {"user_id": "u1", "name": "order_shipped", "properties": {"order_id": "A-17"}})
    await api.world.work()
    [message] = api.world.browser.sent
    assert msgspec.json.decode(message.ready.payload)["title"] == "Order A-17 is on its way"
    [listed] = (await api.server.get("/v1/notifications")).json["items"]
    assert listed["automation"] == "order shipped"


# --- receipts --------------------------------------------------------------------------------------------------------


async def receipt_token(api: ApiWorld) -> str:
    await api.subscribe("u1")
    await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})
    await api.world.work()
    token: str = msgspec.json.decode(api.world.browser.sent[0].ready.payload)["receipt"]
    return token


async def test_receipts_need_no_key_and_move_the_delivery(api: ApiWorld) -> None:
    token = await receipt_token(api)
    anyone = api.anyone.with_headers(Origin="https://anywhere.example")
    taken = await anyone.post("/v1/receipts", {"receipt": token, "kind": "displayed", "at": "2027-01-15T08:00:00Z"})
    assert (taken.status, taken.json) == (202, {"accepted": 1, "duplicates": 0, "errors": []})
    assert taken.headers["access-control-allow-origin"] == "*"
    again = await anyone.post("/v1/receipts", {"receipt": token, "kind": "displayed"})
    assert again.json["duplicates"] == 1
    [delivery] = (await api.server.get("/v1/deliveries?user_id=u1")).json["items"]
    assert delivery["state"] == "displayed"


async def test_a_beacon_may_call_its_receipts_plain_text(api: ApiWorld) -> None:
    token = await receipt_token(api)
    body = msgspec.json.encode({"receipts": [{"receipt": token, "kind": kind.value} for kind in ReceiptKind]})
    taken = await api.anyone.post("/v1/receipts", body=body, headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert taken.json == {"accepted": 4, "duplicates": 0, "errors": []}


async def test_forged_and_expired_receipts_are_told_apart_from_good_ones(api: ApiWorld) -> None:
    token = await receipt_token(api)
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    alone = await api.anyone.post("/v1/receipts", {"receipt": forged, "kind": "clicked"})
    assert (alone.status, list(alone.fields)) == (400, ["receipt"])
    batch = [
        {"receipt": token, "kind": "clicked"},
        {"receipt": token, "kind": "seen"},
        {"receipt": forged, "kind": "clicked"},
    ]
    taken = await api.anyone.post("/v1/receipts", {"receipts": batch})
    assert (taken.status, taken.json["accepted"]) == (202, 1)
    assert [(one["index"], one["field"]) for one in taken.json["errors"]] == [
        (1, "receipts[1].kind"),
        (2, "receipts[2].receipt"),
    ]
    assert "delivered, dismissed, displayed" in taken.json["errors"][0]["message"]

    api.world.clock.advance(hours=24 * 60)
    expired = await api.anyone.post("/v1/receipts", {"receipt": token, "kind": "dismissed"})
    assert expired.fields == {"receipt": "has expired"}


async def test_only_post_is_taken(api: ApiWorld) -> None:
    for caller in (api.server, Api(api.app)):
        refused = await caller.get("/v1/events")
        assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert (await api.server.call("OPTIONS", "/v1/events")).headers["allow"] == "OPTIONS, POST"
    assert (await api.server.post("/v1/events?dry=1", {"user_id": "u1", "name": "x"})).status == 400


async def test_events_older_than_the_project_keeps_are_refused_one_by_one(api: ApiWorld, clock: ManualClock) -> None:
    assert (await api.server.put("/v1/project", {"event_days": 0})).json["errors"][0]["field"] == "event_days"
    assert (await api.server.put("/v1/project", {"event_days": 30})).json["event_days"] == 30
    old, young = (told(clock.now() - days * DAY_MS) for days in (31, 29))
    events = [{"user_id": "u1", "name": "seen", "occurred_at": at} for at in (old, young)]
    taken = await api.server.post("/v1/events", {"events": events})
    assert taken.json["accepted"] == 1
    assert [(error["field"], "30 days" in error["message"]) for error in taken.json["errors"]] == [
        ("events[0].occurred_at", True)
    ]
    await api.server.put("/v1/project", {"name": "The same"})
    assert (await api.server.put("/v1/project", {"event_days": None})).json["event_days"] is None
    assert (await api.server.post("/v1/events", events[0])).status == 202
