"""Lanes that are held back, on every engine."""

import asyncio

import msgspec

from clarion.model import DeviceKind
from clarion.ports import StopReason, Store
from contract.support import NOW, new_project, stoppage


async def test_what_is_put_is_read_by_everybody_and_by_its_project(store: Store) -> None:
    shop, other = await new_project(store, "shop"), await new_project(store, "other")
    mine = stoppage(shop.key, since=NOW + 1)
    theirs = stoppage(other.key, kind=DeviceKind.FCM, lane="", credential=None, reason=StopReason.PROVIDER_ERROR)
    await store.stoppages.put(mine)
    await store.stoppages.put(theirs)
    assert list(await store.stoppages.all()) == [theirs, mine]
    assert list(await store.stoppages.of_project(shop.key)) == [mine]


async def test_news_of_a_stoppage_leave_when_it_began(store: Store) -> None:
    shop = await new_project(store)
    first = stoppage(shop.key)
    await store.stoppages.put(first)
    said = {"reason": StopReason.PROVIDER_ERROR, "detail": "503", "credential": None, "failures": 2}
    news = msgspec.structs.replace(first, since=NOW + 9, again_at=NOW + 99, **said)
    await store.stoppages.put(news)
    assert list(await store.stoppages.all()) == [msgspec.structs.replace(news, since=NOW)]


async def test_one_of_many_gets_the_probe_and_a_lost_one_is_given_again(store: Store) -> None:
    shop = await new_project(store)
    one = stoppage(shop.key)
    assert not await store.stoppages.claim_probe(one.place, NOW, NOW + 60_000), "nothing is stopped"
    await store.stoppages.put(one)
    assert not await store.stoppages.claim_probe(one.place, one.again_at - 1, one.again_at + 60_000)
    claims = (store.stoppages.claim_probe(one.place, one.again_at, one.again_at + 60_000) for _ in range(5))
    assert sorted(await asyncio.gather(*claims)) == [False] * 4 + [True]
    assert await store.stoppages.claim_probe(one.place, one.again_at + 60_000, one.again_at + 120_000)


async def test_a_stoppage_ends_once(store: Store) -> None:
    shop = await new_project(store)
    one, another = stoppage(shop.key), stoppage(shop.key, lane="sandbox/com.example.shop")
    await store.stoppages.put(one)
    await store.stoppages.put(another)
    assert await store.stoppages.end(one.place)
    assert not await store.stoppages.end(one.place)
    assert list(await store.stoppages.all()) == [another]


async def test_all_lanes_of_a_kind_end_together(store: Store) -> None:
    shop, other = await new_project(store, "shop"), await new_project(store, "other")
    gone = [stoppage(shop.key, lane=f"production/{app}") for app in ("a", "b")]
    kept = [stoppage(shop.key, kind=DeviceKind.FCM, lane=""), stoppage(other.key, lane="production/a")]
    for each in (*gone, *kept):
        await store.stoppages.put(each)
    assert sorted(await store.stoppages.end_kind(shop.key, DeviceKind.APNS), key=lambda each: each.lane) == gone
    assert {each.place for each in await store.stoppages.all()} == {each.place for each in kept}


async def test_what_nobody_tries_any_more_is_forgotten(store: Store) -> None:
    shop = await new_project(store)
    old, tried = stoppage(shop.key, lane="old", again_at=NOW), stoppage(shop.key, lane="tried", again_at=NOW + 1)
    await store.stoppages.put(old)
    await store.stoppages.put(tried)
    assert await store.stoppages.forget(NOW + 1) == 1
    assert list(await store.stoppages.all()) == [tried]
