"""Idempotency-Key: the same request gets the same answer, another one is told apart, and nothing happens twice."""

import asyncio
import hashlib

import pytest

from clarion.errors import Unavailable
from clarion.testing import ManualClock
from contract.api_world import ApiWorld, Reply, subscription

HELLO = {"to": {"users": ["u1"]}, "title": "Hello"}
KEY = {"Idempotency-Key": "order-17"}

CREATING = [
    ("/v1/notifications", HELLO),
    ("/v1/devices", {"user_id": "u1", **subscription()}),
    ("/v1/events", {"user_id": "u1", "name": "seen"}),
    ("/v1/categories", {"name": "orders"}),
    ("/v1/templates", {"name": "t", "locales": {"en": {"title": "x"}}}),
    ("/v1/automations", {"name": "a", "on": {"event": "e"}, "notification": {"title": "x"}}),
    ("/v1/keys", {"name": "k"}),
]


@pytest.mark.parametrize(("path", "body"), CREATING)
async def test_the_same_request_gets_the_same_answer(api: ApiWorld, path: str, body: dict) -> None:
    first = await api.server.post(path, body, headers=KEY)
    assert first.status in (201, 202), first
    assert "idempotency-replayed" not in first.headers
    again = await api.server.post(path, body, headers=KEY)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("path", "body"), CREATING)
async def test_another_request_is_told_apart(api: ApiWorld, path: str, body: dict) -> None:
    await api.server.post(path, body, headers=KEY)
    other = await api.server.post(path, {**body, "more": 1}, headers=KEY)
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert "another request" in other.fields["Idempotency-Key"]
    elsewhere = await api.server.post("/v1/events", {"user_id": "u2", "name": "else"}, headers=KEY)
    assert elsewhere.status == 422


async def test_nothing_happens_twice(api: ApiWorld) -> None:
    for _ in range(3):
        await api.server.post("/v1/notifications", HELLO, headers=KEY)
        await api.server.post("/v1/events", {"user_id": "u1", "name": "seen"}, headers={"Idempotency-Key": "e"})
    assert len((await api.server.get("/v1/notifications")).json["items"]) == 1
    assert len((await api.server.get("/v1/users/u1/export")).json["events"]) == 1


async def test_a_request_in_progress_is_waited_for(api: ApiWorld) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()
    notify = api.world.pipeline.notify

    async def slowly(*told: object, **more: object) -> object:
        inside.set()
        await go_on.wait()
        return await notify(*told, **more)  # type: ignore[arg-type]

    api.world.pipeline.notify = slowly  # type: ignore[method-assign, assignment]
    first = asyncio.create_task(api.server.post("/v1/notifications", HELLO, headers=KEY))
    await inside.wait()
    second = await api.server.post("/v1/notifications", HELLO, headers=KEY)
    assert (second.status, second.json["code"]) == (409, "idempotency_in_progress")
    assert int(second.headers["retry-after"]) > 0
    go_on.set()
    assert (await first).status == 202
    assert (await api.server.post("/v1/notifications", HELLO, headers=KEY)).body == (await first).body


async def test_what_failed_or_was_refused_may_be_tried_again(api: ApiWorld) -> None:
    refused = await api.server.post("/v1/notifications", {**HELLO, "category": "orders"}, headers=KEY)
    assert refused.status == 400
    await api.server.post("/v1/categories", {"name": "orders"})
    assert (await api.server.post("/v1/notifications", {**HELLO, "category": "orders"}, headers=KEY)).status == 202

    notify = api.world.pipeline.notify

    async def failing(*_: object, **__: object) -> None:
        raise Unavailable("the database is away")

    api.world.pipeline.notify = failing  # type: ignore[method-assign, assignment]
    failed = await api.server.post("/v1/notifications", HELLO, headers={"Idempotency-Key": "other"})
    assert (failed.status, failed.json["code"]) == (503, "unavailable")
    assert int(failed.headers["retry-after"]) > 0
    api.world.pipeline.notify = notify  # type: ignore[method-assign]
    assert (await api.server.post("/v1/notifications", HELLO, headers={"Idempotency-Key": "other"})).status == 202


async def crashed(api: ApiWorld, path: str, body: dict) -> Reply:
    """The request is done, and then its answer is not kept."""
    finish = api.world.store.idempotency.finish

    async def failing(*_: object) -> None:
        raise Unavailable("the database is away")

    api.world.store.idempotency.finish = failing  # type: ignore[method-assign, assignment]
    answer = await api.server.post(path, body, headers=KEY)
    api.world.store.idempotency.finish = finish  # type: ignore[method-assign]
    return answer


@pytest.mark.parametrize("minutes", [0, 16 * 60 - 1])
async def test_a_repetition_finds_the_notification_that_a_crash_left_also_after_midnight(
    api: ApiWorld, clock: ManualClock, minutes: int
) -> None:
    clock.advance(minutes=minutes)
    first = await crashed(api, "/v1/notifications", HELLO)
    clock.advance(minutes=2)
    assert (await api.server.post("/v1/notifications", HELLO, headers=KEY)).json == first.json
    assert len((await api.server.get("/v1/notifications")).json["items"]) == 1
    clock.advance(hours=25)
    assert (await api.server.post("/v1/notifications", HELLO, headers=KEY)).json != first.json


async def test_events_without_an_id_count_once_under_a_key_whatever_crashed(api: ApiWorld, clock: ManualClock) -> None:
    body = {"events": [{"user_id": "u1", "name": "seen"}, {"user_id": "u1", "name": "seen"}]}
    assert (await crashed(api, "/v1/events", body)).json["accepted"] == 2
    clock.advance(minutes=2)
    again = (await api.server.post("/v1/events", body, headers=KEY)).json
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    clock.advance(hours=25)
    assert (await api.server.post("/v1/events", body, headers=KEY)).json["accepted"] == 2


async def test_a_key_belongs_to_its_project_and_side(api: ApiWorld) -> None:
    token = (await api.browser.post("/v1/sdk/devices", subscription(), headers=KEY)).json["user_token"]
    assert (await api.server.post("/v1/notifications", HELLO, headers=KEY)).status == 202
    me = api.browser.with_headers(Clarion_User=token, Idempotency_Key="e1")
    assert (await me.post("/v1/sdk/events", {"name": "seen"})).status == 202
    other = (await api.browser.post("/v1/sdk/devices", subscription("u2"))).json["user_token"]
    stranger = await me.with_headers(Clarion_User=other).post("/v1/sdk/events", {"name": "seen"})
    assert stranger.status == 422


async def test_a_key_that_lacks_the_scope_gets_no_replay(api: ApiWorld) -> None:
    made = await api.server.post("/v1/keys", {"name": "k"}, headers=KEY)
    small = await api.key(scopes=["read"])
    refused = await small.post("/v1/keys", {"name": "k"}, headers=KEY)
    assert refused.status == 403
    assert made.json["key"].encode() not in refused.body


async def test_a_shown_secret_is_not_kept_in_clear(api: ApiWorld) -> None:
    made = await api.server.post("/v1/keys", {"name": "k"}, headers=KEY)
    saved = await api.world.store.idempotency.begin(
        api.world.project.key, "server:order-17", hashlib.sha256().digest(), api.world.clock.now()
    )
    assert saved is not None
    assert saved.status == 201
    assert made.json["key"].encode() not in saved.body


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut"])
async def test_a_key_is_printable_and_not_long(api: ApiWorld, key: str) -> None:
    refused = await api.server.post("/v1/notifications", HELLO, headers={"Idempotency-Key": key})
    assert refused.status == 400
    assert "255 printable" in refused.fields["Idempotency-Key"]
