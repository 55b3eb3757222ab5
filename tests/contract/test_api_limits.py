"""Who asks too much waits: floods of SDK calls, and work that is not done yet."""

import asyncio

import msgspec

from clarion.config import Settings
from clarion.model import DeviceKind
from clarion.ports import DeliverWork, Effects, NewWork
from clarion.testing import ManualClock
from contract.api_world import ORIGIN, Api, ApiWorld

EVENT = {"user_id": "u1", "name": "seen"}
HELLO = {"to": {"users": ["u1"]}, "title": "Hello"}


async def until_refused(api: Api, path: str, **more: object) -> int:
    for count in range(2_000):
        if (await api.get(path, **more)).status == 429:
            return count
    raise AssertionError("never refused")


async def test_a_flood_of_sdk_calls_is_slowed_by_caller(api: ApiWorld, clock: ManualClock) -> None:
    limited = ApiWorld(api.world, Settings(public_url=ORIGIN))
    assert await until_refused(limited.browser, "/v1/sdk/config") == 500
    refused = await limited.browser.get("/v1/sdk/config")
    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (429, "rate_limited", "1")
    assert (await limited.browser.get("/v1/sdk/config", client="192.0.2.2")).status == 200
    clock.advance(seconds=1)
    assert await until_refused(limited.browser, "/v1/sdk/config") == 50


async def test_calls_without_a_key_share_a_callers_bucket(api: ApiWorld) -> None:
    limited = ApiWorld(api.world, Settings(public_url=ORIGIN))
    await until_refused(limited.anyone, "/unsubscribe/x")
    assert (await limited.anyone.post("/v1/receipts", {})).status == 429
    assert (await limited.browser.get("/v1/sdk/config")).status == 200


async def test_server_keys_and_open_doors_are_not_slowed(api: ApiWorld) -> None:
    for calls in (ApiWorld(api.world, Settings(public_url=ORIGIN)).server, api.browser):
        path = "/v1/project" if calls is not api.browser else "/v1/sdk/config"
        assert {(await calls.get(path)).status for _ in range(600)} == {200}


async def test_work_is_bounded(api: ApiWorld, clock: ManualClock) -> None:
    bounded = ApiWorld(api.world, backlog_bound=2)
    for _ in range(3):
        clock.advance(seconds=2)
        assert (await bounded.server.post("/v1/notifications", HELLO)).status == 202
    clock.advance(seconds=2)
    for path, body in (("/v1/notifications", HELLO), ("/v1/events", EVENT)):
        refused = await bounded.server.post(path, body)
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
    assert len((await bounded.server.get("/v1/notifications")).json["items"]) == 3

    await api.world.work()
    clock.advance(seconds=2)
    assert (await bounded.server.post("/v1/notifications", HELLO)).status == 202


async def test_deliveries_that_are_held_back_close_the_door_to_their_own_project_only(
    api: ApiWorld, clock: ManualClock
) -> None:
    full, other = ApiWorld(api.world, backlog_bound=2), api.world.project.key + 1
    jobs = [NewWork(other, DeliverWork(DeviceKind.WEBPUSH, 0, [], lane), clock.now()) for lane in ("own", "a", "b")]
    await api.world.store.steps.commit(Effects(work=jobs))
    assert (await full.server.post("/v1/notifications", HELLO)).status == 202

    mine = [msgspec.structs.replace(job, project=api.world.project.key) for job in jobs]
    await api.world.store.steps.commit(Effects(work=mine))
    clock.advance(seconds=2)
    assert (await full.server.post("/v1/notifications", HELLO)).status == 429
    text = (await full.anyone.get("/metrics")).body.decode()
    assert [line for line in text.splitlines() if line.startswith("clarion_backlog_jobs{")] == [
        'clarion_backlog_jobs{queue="decide"} 1.0',
        'clarion_backlog_jobs{queue="deliver.webpush"} 6.0',
    ]


async def test_the_backlog_is_counted_once_a_second(api: ApiWorld, clock: ManualClock) -> None:
    asked = 0
    backlog = api.world.store.work.backlog

    async def counting() -> dict[str, int]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return await backlog()

    api.world.store.work.backlog = counting  # type: ignore[method-assign]
    await asyncio.gather(*(api.server.post("/v1/events", EVENT) for _ in range(20)))
    assert asked == 1
    clock.advance(seconds=1)
    await api.server.post("/v1/events", EVENT)
    assert asked == 2
