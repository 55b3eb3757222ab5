"""Notifications through the API: sent, planned, tried, cancelled, and what became of them."""

import pytest

from contract.api_world import ApiWorld

HELLO = {"title": "Hello"}

WRONG = [
    ({}, "to", "is required"),
    ({"to": {}}, "to", "exactly one of users, devices, segment, topic, everyone"),
    ({"to": {"users": ["u1"], "everyone": True}}, "to", "exactly one"),
    ({"to": {"users": []}}, "to.users", "at least 1 "),
    ({"to": {"users": ["u1", 5]}}, "to.users[1]", "must be text"),
    ({"to": {"everyone": False}}, "to.everyone", "must be true"),
    ({"to": {"devices": ["nope"]}}, "to.devices[0]", "32 lower-case hexadecimal"),
    ({"to": {"devices": ["0" * 32]}}, "to.devices[0]", "no such device"),
    ({"to": {"segment": "gold"}}, "to.segment", "there is no segment gold"),
    ({"to": {"topic": "news"}}, "to.topic", "there is no topic news"),
    ({"to": {"users": ["u1"]}, "local_time": "6 pm"}, "local_time", "such as 09:00 or 2026-12-01T09:00"),
    ({"to": {"users": ["u1"]}, "local_time": "2020-12-01T09:00"}, "local_time", "is over everywhere"),
    ({"to": {"users": ["u1"]}, "local_time_passed": "skip"}, "local_time_passed", "needs local_time"),
    (
        {"to": {"users": ["u1"]}, "local_time": "2028-12-01T09:00", "send_at": "2028-12-01T09:00:00Z"},
        "send_at",
        "local_time names a day",
    ),
    ({"to": {"users": ["u1"]}, "arm": True, "send_at": "2026-12-01T17:00:00Z"}, "arm", "cannot be true beside send_at"),
    ({"to": {"users": ["u1"]}, "arm": True, "local_time": "18:00"}, "arm", "cannot be true beside local_time"),
    ({"to": {"users": ["u1"]}, "arm": "yes"}, "arm", "must be true or false"),
    ({"to": {"users": ["u1"]}, "category": "nope"}, "category", "no category nope"),
    ({"to": {"users": ["u1"]}, "template": "nope"}, "template", "no template nope"),
    ({"to": {"users": ["u1"]}, "title": None}, "title", "is needed"),
    ({"to": {"users": ["u1"]}, "title": "{{ (nope }}"}, "title", "syntax"),
    ({"to": {"users": ["u1"]}, "body": "{{ data.missing }}"}, "body", "undefined"),
    ({"to": {"users": ["u1"]}, "ttl": -1}, "ttl", ">= 0"),
    ({"to": {"users": ["u1"]}, "ttl": 2_592_001}, "ttl", "<= 2592000"),
    ({"to": {"users": ["u1"]}, "ttl": "60"}, "ttl", "must be a whole number, got text"),
    ({"to": {"users": ["u1"]}, "urgency": "urgent"}, "urgency", "must be one of high, low, normal, very-low"),
    ({"to": {"users": ["u1"]}, "url": "javascript:alert(1)"}, "url", "http"),
    ({"to": {"users": ["u1"]}, "icon": "data:image/png;base64,AA"}, "icon", "http"),
    ({"to": {"users": ["u1"]}, "actions": [{"id": "a"}]}, "actions[0].title", "is required"),
    ({"to": {"users": ["u1"]}, "actions": [{"id": "a", "title": "A", "url": "x"}]}, "actions[0].url", "http"),
    ({"to": {"users": ["u1"]}, "vibrate": [100, -1]}, "vibrate[1]", ">= 0"),
    ({"to": {"users": ["u1"]}, "send_at": "2026-11-22T17:00:00"}, "send_at", "with a zone"),
    ({"to": {"users": ["u1"]}, "send_at": "9999-01-01T00:00:00Z"}, "send_at", "1970 and 9998"),
    ({"to": {"users": ["u1"]}, "tittle": "x"}, "tittle", "did you mean title?"),
    ({"to": {"users": ["u1"]}, "data": {"a": {"b": ["x\0"]}}}, "data.a.b[0]", "U+0000"),
]


@pytest.mark.parametrize(("body", "field", "word"), WRONG)
async def test_a_wrong_field_is_named(api: ApiWorld, body: dict, field: str, word: str) -> None:
    refused = await api.server.post("/v1/notifications", {**HELLO, **body})
    assert refused.status == 400, refused
    assert word in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/notifications")).json["items"] == []


async def test_every_optional_field_may_be_null(api: ApiWorld) -> None:
    names = (
        "template data url icon image badge sound vibrate lock_screen require_interaction actions ttl urgency body "
        "collapse_key content_key content_window apns fcm webpush send_at dry_run local_time arm category"
    )
    to = {"users": ["u1"], "devices": None, "everyone": None, "segment": None, "topic": None}
    body = {"to": to, **HELLO, **dict.fromkeys(names.split())}
    assert (await api.server.post("/v1/notifications", body)).status == 202


async def test_a_notification_is_sent_and_counted(api: ApiWorld) -> None:
    await api.subscribe("u1")
    body = {
        "to": {"users": ["u1", "u2"]},
        **HELLO,
        "data": {"order": {"id": "A-17"}},
        "url": "https://shop.example/{{ data.order.id }}",
        "actions": [{"id": "track", "title": "Track"}],
        "collapse_key": "order-A-17",
    }
    accepted = await api.server.post("/v1/notifications", body)
    assert accepted.status == 202
    assert list(accepted.json) == ["id"]
    path = f"/v1/notifications/{accepted.json['id']}"
    assert (await api.server.get(path)).json["state"] == "running"
    await api.world.work()

    shown = (await api.server.get(path)).json
    assert shown["state"] == "done"
    assert shown["request"]["to"] == {"users": ["u1", "u2"]}
    assert shown["request"]["data"] == {"order": {"id": "A-17"}}
    assert shown["request"]["ttl"] == 259_200
    assert shown["counts"] == {
        "decisions": {"send": 1, "drop": 1},
        "reasons": {"send": 1, "no_device": 1},
        "deliveries": {"accepted": 1},
    }
    [listed] = (await api.server.get("/v1/notifications")).json["items"]
    assert (listed["id"], listed["title"]) == (accepted.json["id"], "Hello")


async def test_what_an_event_started_is_running_until_it_is_sent(api: ApiWorld) -> None:
    for user in ("u1", "u2"):
        await api.subscribe(user)
    await api.server.post("/v1/automations", {"name": "a", "on": {"event": "e"}, "notification": {"title": "x"}})
    await api.server.post("/v1/events", {"events": [{"user_id": user, "name": "e"} for user in ("u1", "u2")]})
    world, states = api.world, []
    for stage in ("trigger", "decide", "deliver.webpush"):
        [queue] = [name for name in await world.store.work.waiting() if name.startswith(stage)]
        for lease in await world.store.work.claim(queue, 10, world.clock.now(), 15_000):
            await world.pipeline.step(lease)
        ids = [one["id"] for one in (await api.server.get("/v1/notifications")).json["items"]]
        states.append({(await api.server.get(f"/v1/notifications/{id}")).json["state"] for id in ids})
    assert states == [{"running"}, {"running"}, {"done"}]


async def test_decisions_can_be_asked_for_by_user_and_reason(api: ApiWorld) -> None:
    await api.subscribe("u1")
    sent = await api.server.post("/v1/notifications", {"to": {"users": ["u1", "u2", "u3"]}, **HELLO})
    await api.world.work()
    path = f"/v1/notifications/{sent.json['id']}/decisions"

    [decision] = (await api.server.get(f"{path}?user_id=u1")).json["items"]
    assert (decision["user_id"], decision["decision"], decision["reason"]) == ("u1", "send", "send")
    assert [gate for gate, verdict, _ in decision["gates"] if verdict == "pass"] == [
        *("cancelled", "expiry", "schedule", "category", "consent", "device", "permission", "duplicate"),
        "quiet_hours",
    ]
    dropped = (await api.server.get(f"{path}?reason=no_device")).json["items"]
    assert {one["user_id"] for one in dropped} == {"u2", "u3"}
    assert (await api.server.get(f"{path}?user_id=nobody")).json["items"] == []

    first = (await api.server.get(f"{path}?limit=2")).json
    rest = (await api.server.get(f"{path}?limit=2&cursor={first['next_cursor']}")).json
    assert [one["user_id"] for one in first["items"] + rest["items"]] == ["u1", "u2", "u3"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field", "word"),
    [
        ("reason=because", "reason", "must be one of bad_credentials, best_time"),
        ("reasons=send", "reasons", "not a query parameter"),
        ("limit=0", "limit", ">= 1"),
        ("limit=1001", "limit", "<= 1000"),
        ("limit=many", "limit", "must be"),
        ("cursor=", "cursor", "at least 1"),
    ],
)
async def test_a_wrong_query_parameter_is_named(api: ApiWorld, query: str, field: str, word: str) -> None:
    sent = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **HELLO})
    refused = await api.server.get(f"/v1/notifications/{sent.json['id']}/decisions?{query}")
    assert refused.status == 400, refused
    assert word in refused.fields[field]


async def test_deliveries_are_listed_by_user_notification_and_state(api: ApiWorld) -> None:
    device = await api.subscribe("u1")
    sent = await api.server.post("/v1/notifications", {"to": {"devices": [device["id"]]}, **HELLO})
    await api.world.work()
    [delivery] = (await api.server.get(f"/v1/deliveries?notification_id={sent.json['id']}&state=accepted")).json[
        "items"
    ]
    assert delivery["device_id"] == device["id"]
    assert delivery["user_id"] == "u1"
    assert delivery["id"] == api.world.browser.sent[0].ready.id.hex()
    assert delivery["attempts"] == 1
    for empty in ("state=failed", "user_id=nobody", "notification_id=nope"):
        assert (await api.server.get(f"/v1/deliveries?{empty}")).json["items"] == []
    assert "must be one of accepted" in (await api.server.get("/v1/deliveries?state=lost")).fields["state"]


async def test_a_dry_run_tells_and_sends_nothing(api: ApiWorld) -> None:
    await api.subscribe("u1")
    body = {"to": {"users": ["u1", "u2"]}, **HELLO, "dry_run": True}
    tried = await api.server.post("/v1/notifications", body)
    assert tried.status == 200
    assert tried.json["counts"] == {"send": 1, "no_device": 1}
    assert {one["user_id"]: one["decision"] for one in tried.json["decisions"]} == {"u1": "send", "u2": "drop"}
    assert tried.json["took_ms"] >= 0
    await api.world.work()
    assert api.world.browser.sent == []
    assert (await api.server.get("/v1/notifications")).json["items"] == []


async def test_a_planned_notification_waits_and_can_be_cancelled(api: ApiWorld) -> None:
    await api.subscribe("u1")
    body = {"to": {"users": ["u1"]}, **HELLO, "send_at": "2027-01-15T10:00:00+01:00"}
    planned = await api.server.post("/v1/notifications", body)
    path = f"/v1/notifications/{planned.json['id']}"
    await api.world.work()
    shown = (await api.server.get(path)).json
    assert (shown["state"], shown["send_at"]) == ("scheduled", "2027-01-15T09:00:00.000Z")

    cancelled = await api.server.post(f"{path}/cancel")
    assert cancelled.json["state"] == "cancelled"
    assert cancelled.json["cancelled_at"] == "2027-01-15T08:00:00.000Z"
    assert (await api.server.post(f"{path}/cancel")).status == 200
    api.world.clock.advance(hours=2)
    await api.world.work()
    assert api.world.browser.sent == []
    assert (await api.server.get(path)).json["counts"]["reasons"] == {"cancelled": 1}
    assert (await api.server.post("/v1/notifications/nope/cancel")).status == 404


async def test_a_long_audience_is_taken_and_shown_cut_short(api: ApiWorld) -> None:
    users = [f"user-{number:05}" * 10 for number in range(12_000)]
    sent = await api.server.post("/v1/notifications", {"to": {"users": users}, **HELLO})
    assert sent.status == 202
    shown = (await api.server.get(f"/v1/notifications/{sent.json['id']}")).json["request"]["to"]
    assert (len(shown["users"]), shown["total"]) == (1000, 12_000)


async def test_notifications_are_listed_newest_first(api: ApiWorld) -> None:
    for title in ("one", "two", "three"):
        await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": title})
    first = (await api.server.get("/v1/notifications?limit=2")).json
    rest = (await api.server.get(f"/v1/notifications?limit=2&cursor={first['next_cursor']}")).json
    assert [one["title"] for one in first["items"] + rest["items"]] == ["three", "two", "one"]


async def test_what_is_armed_is_sent_at_its_fire(api: ApiWorld) -> None:
    await api.subscribe("u1")
    api.world.clock.advance(3_600_000)
    armed = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **HELLO, "arm": True})
    assert (armed.status, list(armed.json)) == (202, ["id"])
    path = f"/v1/notifications/{armed.json['id']}"
    states = [(await api.server.get(path)).json["state"]]
    await api.world.work()
    shown = (await api.server.get(path)).json
    states.append(shown["state"])
    assert (shown["request"]["arm"], shown["fired_at"], shown["counts"]["deliveries"]) == (True, None, {})
    assert shown["armed_until"] > shown["created_at"]
    assert api.world.browser.sent == []

    fired = await api.server.post(f"{path}/fire")
    assert fired.status == 200
    states.append(fired.json["state"])
    await api.world.work()
    again = await api.server.with_headers(Idempotency_Key="once").post(f"{path}/fire")
    assert (again.status, again.json["fired_at"]) == (200, fired.json["fired_at"])
    states.append(again.json["state"])
    assert states == ["arming", "armed", "running", "done"]
    assert again.json["counts"]["deliveries"] == {"accepted": 1}
    [listed] = (await api.server.get("/v1/notifications")).json["items"]
    assert (listed["armed_until"], listed["fired_at"]) == (again.json["armed_until"], again.json["fired_at"])


async def test_only_what_is_armed_is_fired(api: ApiWorld) -> None:
    missing = await api.server.post(f"/v1/notifications/{'0' * 32}/fire")
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    body = {"to": {"users": ["u1"]}, **HELLO}
    made = [await api.server.post("/v1/notifications", {**body, "arm": arm}) for arm in (False, True, True)]
    ids = [answer.json["id"] for answer in made]
    await api.server.post(f"/v1/notifications/{ids[1]}/cancel")
    api.world.clock.advance(7 * 86_400_000)
    for id, words in zip(ids, ("not armed", "is cancelled", "not armed any more"), strict=True):
        refused = await api.server.post(f"/v1/notifications/{id}/fire")
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert words in refused.json["detail"]
    await api.world.work()
    over = (await api.server.get(f"/v1/notifications/{ids[2]}")).json
    assert (over["state"], over["fired_at"]) == ("done", None)


async def test_a_dry_run_of_something_armed_tells_the_decisions(api: ApiWorld) -> None:
    body = {"to": {"users": ["u1"]}, **HELLO, "arm": True, "dry_run": True}
    trial = await api.server.post("/v1/notifications", body)
    assert (trial.status, trial.json["counts"]) == (200, {"no_device": 1})


async def test_what_was_sent_is_replaced_and_withdrawn(api: ApiWorld) -> None:
    await api.subscribe("u1")
    made = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **HELLO})
    path = f"/v1/notifications/{made.json['id']}"
    await api.world.work()
    once = api.server.with_headers(Idempotency_Key="3-stops")
    update = await once.post(f"{path}/replace", {"body": "3 stops away", "renotify": True})
    assert (update.status, list(update.json)) == (202, ["id"])
    assert (await once.post(f"{path}/replace", {"body": "3 stops away", "renotify": True})).json == update.json
    await api.world.work()
    shown = (await api.server.get(f"/v1/notifications/{update.json['id']}")).json
    first = (await api.server.get(path)).json
    assert shown["update"] == {"kind": "replace", "notification_id": first["id"], "renotify": True}
    assert (shown["request"]["title"], shown["request"]["body"]) == (HELLO["title"], "3 stops away")
    assert (first["update"], first["updated_by"], shown["updated_by"]) == (None, shown["id"], None)
    assert len(api.world.browser.sent) == 2

    gone = await api.server.post(f"{path}/withdraw")
    assert gone.status == 202
    assert (await api.server.post(f"/v1/notifications/{shown['id']}/withdraw")).json == gone.json
    assert (await api.server.get(path)).json["state"] == "cancelled"
    late = await api.server.post(f"{path}/replace", {"body": "It is there"})
    assert (late.status, late.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"renotify": True}, "body"),
        ({"collapse_key": "other"}, "collapse_key"),
        ({"title": "{{ nothing"}, "title"),
        ({"template": "unknown"}, "template"),
    ],
    ids=["nothing", "no words", "another place", "no template", "unknown template"],
)
async def test_a_replacement_that_cannot_be_is_refused(api: ApiWorld, body: dict[str, object], field: str) -> None:
    made = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **HELLO})
    refused = await api.server.post(f"/v1/notifications/{made.json['id']}/replace", body)
    assert (refused.status, [each["field"] for each in refused.json["errors"]]) == (400, [field])
    missing = await api.server.post(f"/v1/notifications/{'0' * 32}/replace", {"body": "x"})
    assert missing.status == 404
