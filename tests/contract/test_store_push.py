"""Devices, channels and waiting messages of our push service."""

import asyncio

import msgspec

from clarion.model import Key, Millis, Urgency
from clarion.ports import PushMessage, Store
from contract.support import NOW, new_channel, push_message, soon

UAID, OTHER_UAID = "a" * 32, "b" * 32


async def waiting(store: Store, device: Key, after: Key = 0, limit: int = 100, now: Millis = NOW) -> list[bytes]:
    return [message.data for message in await store.push.waiting(device, after, limit, now)]


async def add_one(store: Store, message: PushMessage) -> Key:
    [key] = await store.push.add([message], NOW)
    assert key is not None
    return key


# --- devices and channels --------------------------------------------------------------------------------------------


async def test_a_uaid_is_unknown_until_its_first_channel(store: Store) -> None:
    assert await store.push.hello(UAID, "node-1", NOW) is None
    assert await store.push.known_devices([UAID]) == set()
    device = await store.push.register(UAID, "c1", None, "node-1", NOW)
    assert await store.push.hello(UAID, "node-1", NOW) == device
    assert await store.push.known_devices([UAID, OTHER_UAID]) == {UAID}


async def test_a_channel_is_found_by_uaid_and_channel_id(store: Store) -> None:
    device = await store.push.register(UAID, "c1", "vapid-key", "node-1", NOW)
    [found] = await store.push.channels([(UAID, "c1")])
    assert found is not None
    assert (found.device, found.channel_id, found.vapid, found.node) == (device, "c1", "vapid-key", "node-1")


async def test_channels_answer_in_the_order_of_the_question(store: Store) -> None:
    await store.push.register(UAID, "c1", None, "node-1", NOW)
    await store.push.register(UAID, "c2", None, "node-1", NOW)
    await store.push.register(OTHER_UAID, "c1", None, "node-1", NOW)
    asked = [(OTHER_UAID, "c2"), (UAID, "c2"), (OTHER_UAID, "c1"), (UAID, "c1"), (UAID, "c2"), ("c" * 32, "c1")]
    found = await store.push.channels(asked)
    assert [channel and channel.channel_id for channel in found] == [None, "c2", "c1", "c1", "c2", None]
    assert len({channel.key for channel in found if channel}) == 3
    assert await store.push.channels([]) == []


async def test_registering_a_channel_again_changes_nothing(store: Store) -> None:
    device = await store.push.register(UAID, "c1", "vapid", "node-1", NOW)
    before = await store.push.channels([(UAID, "c1")])
    assert await store.push.register(UAID, "c1", "vapid", "node-1", NOW + 5) == device
    assert await store.push.channels([(UAID, "c1")]) == before


async def test_many_channels_of_one_new_device_share_it(store: Store) -> None:
    calls = (store.push.register(UAID, f"c{n % 5}", None, "node-1", NOW) for n in range(20))
    assert len(set(await soon(asyncio.gather(*calls)))) == 1
    found = await store.push.channels([(UAID, f"c{n}") for n in range(5)])
    assert len({channel.key for channel in found if channel}) == 5


async def test_a_device_that_enrols_needs_no_channel(store: Store) -> None:
    device = await store.push.enrol(UAID, "node-1", NOW)
    assert await store.push.enrol(UAID, "node-2", NOW + 1) == device
    assert await store.push.known_devices([UAID]) == {UAID}
    assert await store.push.register(UAID, "c1", None, None, NOW + 2) == device
    [channel] = await store.push.channels([(UAID, "c1")])
    assert channel is not None
    assert channel.node == "node-2", "registering said nothing about who holds the socket"


async def test_what_a_browser_calls_a_channel_comes_with_each_message(store: Store) -> None:
    device = await store.push.register(UAID, "c1", "vapid", None, NOW, "its name")
    [channel] = await store.push.channels([(UAID, "c1")])
    assert channel is not None
    assert (channel.app, channel.node) == ("its name", None)
    await store.push.add([push_message(device, channel.key, app=channel.app)], NOW)
    [message] = await store.push.waiting(device, 0, 10, NOW)
    assert message.app == "its name"
    await store.push.register(UAID, "c1", "vapid", None, NOW, "another name")
    [renamed] = await store.push.channels([(UAID, "c1")])
    assert renamed == msgspec.structs.replace(channel, app="another name")


async def test_the_node_is_the_one_that_said_hello_last(store: Store) -> None:
    device, _ = await new_channel(store)
    assert await _node(store) == "node-1"
    await store.push.hello(UAID, "node-2", NOW)
    assert await _node(store) == "node-2"
    await store.push.gone(device, "node-1")
    assert await _node(store) == "node-2", "an old socket that closes late must not hide the new one"
    await store.push.gone(device, "node-2")
    assert await _node(store) is None


async def test_an_unregistered_channel_is_gone_with_its_messages(store: Store) -> None:
    device, channel = await new_channel(store, channel_id="c1")
    _, kept = await new_channel(store, channel_id="c2")
    await store.push.add([push_message(device, channel), push_message(device, kept, b"kept", channel_id="c2")], NOW)
    assert await store.push.unregister(device, "c1")
    assert not await store.push.unregister(device, "c1")
    assert await store.push.channels([(UAID, "c1")]) == [None]
    assert await store.push.known_devices([UAID]) == {UAID}
    assert await waiting(store, device) == [b"kept"]


async def test_a_channel_registered_anew_is_another_channel(store: Store) -> None:
    device, channel = await new_channel(store)
    await store.push.unregister(device, "c1")
    again, new = await new_channel(store)
    assert (again, new == channel) == (device, False)


async def test_a_forgotten_device_leaves_nothing(store: Store) -> None:
    device, channel = await new_channel(store)
    other, other_channel = await new_channel(store, OTHER_UAID)
    await store.push.add([push_message(device, channel), push_message(other, other_channel, b"other")], NOW)
    await store.push.forget(device)
    assert await store.push.known_devices([UAID, OTHER_UAID]) == {OTHER_UAID}
    assert await store.push.channels([(UAID, "c1")]) == [None]
    assert await store.push.hello(UAID, "node-1", NOW) is None
    assert await waiting(store, device) == []
    assert await waiting(store, other) == [b"other"]


async def test_a_device_that_comes_back_after_it_was_forgotten_is_a_new_one(store: Store) -> None:
    device, _ = await new_channel(store)
    await store.push.forget(device)
    again, _ = await new_channel(store)
    assert again != device


# --- messages --------------------------------------------------------------------------------------------------------


async def test_a_message_waits_as_it_was_added(store: Store) -> None:
    device, channel = await new_channel(store)
    told = push_message(device, channel, bytes(range(256)), topic="t", urgency="high", headers={"encoding": "aesgcm"})
    key = await add_one(store, told)
    [found] = await store.push.waiting(device, 0, 10, NOW)
    assert (found.key, found.channel, found.device, found.channel_id) == (key, channel, device, "c1")
    assert (found.data, found.headers, found.topic, found.urgency) == (told.data, told.headers, "t", "high")
    assert found.expires_at == told.expires_at


async def test_an_empty_message_waits_too(store: Store) -> None:
    device, channel = await new_channel(store)
    await add_one(store, push_message(device, channel, b"", headers={}))
    [found] = await store.push.waiting(device, 0, 10, NOW)
    assert (found.data, found.headers) == (b"", {})


async def test_a_new_message_of_a_topic_replaces_the_one_that_waits(store: Store) -> None:
    device, channel = await new_channel(store)
    _, other = await new_channel(store, channel_id="c2")
    first = await add_one(store, push_message(device, channel, b"old", topic="t"))
    await add_one(store, push_message(device, channel, b"other topic", topic="u"))
    await add_one(store, push_message(device, other, b"other channel", topic="t", channel_id="c2"))
    second = await add_one(store, push_message(device, channel, b"new", topic="t"))
    assert second > first
    assert await waiting(store, device) == [b"other topic", b"other channel", b"new"]


async def test_within_a_batch_the_last_message_of_a_topic_stays(store: Store) -> None:
    device, channel = await new_channel(store)
    batch = [push_message(device, channel, data, topic="t") for data in (b"1", b"2", b"3")]
    keys = await store.push.add(batch, NOW)
    assert len(set(keys)) == 3
    [found] = await store.push.waiting(device, 0, 10, NOW)
    assert (found.data, found.key) == (b"3", keys[2])


async def test_messages_without_a_topic_replace_nothing(store: Store) -> None:
    device, channel = await new_channel(store)
    await store.push.add([push_message(device, channel, b"1"), push_message(device, channel, b"2")], NOW)
    assert await waiting(store, device) == [b"1", b"2"]


async def test_topics_come_first_then_all_by_key(store: Store) -> None:
    device, channel = await new_channel(store)
    topics = (None, "b", None, "a", None)
    batch = [push_message(device, channel, b"%d" % n, topic=topic) for n, topic in enumerate(topics)]
    await store.push.add(batch, NOW)
    assert await waiting(store, device) == [b"1", b"3", b"0", b"2", b"4"]


async def test_waiting_gives_no_more_than_its_limit_and_goes_on_after_a_key(store: Store) -> None:
    device, channel = await new_channel(store)
    keys = await store.push.add([push_message(device, channel, b"%d" % n) for n in range(7)], NOW)
    assert await waiting(store, device, limit=3) == [b"0", b"1", b"2"]
    assert await waiting(store, device, after=keys[2] or 0, limit=3) == [b"3", b"4", b"5"]
    assert await waiting(store, device, after=keys[6] or 0) == []


async def test_batch_by_batch_with_acknowledgements_every_message_comes_exactly_once(store: Store) -> None:
    device, channel = await new_channel(store)
    topics = [f"t{n}" if n % 3 == 0 else None for n in range(35)]
    await store.push.add([push_message(device, channel, b"%d" % n, topic=t) for n, t in enumerate(topics)], NOW)
    seen: list[int] = []
    while batch := await store.push.waiting(device, 0, 10, NOW):
        assert len(batch) <= 10
        seen += [int(message.data) for message in batch]
        await store.push.acknowledge([(device, message.key) for message in batch if message.key])
    assert seen == sorted(range(35), key=lambda n: (n % 3 != 0, n))


async def test_expired_messages_do_not_wait(store: Store) -> None:
    device, channel = await new_channel(store)
    for ttl in (10, 20):
        await add_one(store, push_message(device, channel, b"%d" % ttl, expires_at=NOW + ttl))
    assert await waiting(store, device, now=NOW + 9) == [b"10", b"20"]
    assert await waiting(store, device, now=NOW + 10) == [b"20"]


async def test_the_sweep_removes_what_has_expired_and_counts_it(store: Store) -> None:
    device, channel = await new_channel(store)
    for ttl in (10, 10, 20):
        await add_one(store, push_message(device, channel, b"%d" % ttl, expires_at=NOW + ttl))
    assert await store.push.sweep(NOW + 5) == 0
    assert await store.push.sweep(NOW + 15) == 2
    assert await waiting(store, device, now=NOW) == [b"20"]


async def test_an_acknowledged_message_does_not_come_again(store: Store) -> None:
    device, channel = await new_channel(store)
    keys = await store.push.add([push_message(device, channel, b"%d" % n) for n in range(3)], NOW)
    await store.push.acknowledge([(device, key) for key in keys[:2] if key])
    await store.push.acknowledge([(device, 999_999)])
    assert await waiting(store, device) == [b"2"]


async def test_a_device_acknowledges_only_its_own(store: Store) -> None:
    device, channel = await new_channel(store)
    other, _ = await new_channel(store, OTHER_UAID)
    key = await add_one(store, push_message(device, channel))
    await store.push.acknowledge([(other, key)])
    assert await waiting(store, device) == [b"secret"]


async def test_a_sender_deletes_a_message_of_its_own_channel_once(store: Store) -> None:
    device, channel = await new_channel(store)
    _, other = await new_channel(store, channel_id="c2")
    key = await add_one(store, push_message(device, channel))
    assert not await store.push.delete(key, other)
    assert await waiting(store, device) == [b"secret"]
    assert await store.push.delete(key, channel)
    assert not await store.push.delete(key, channel)
    assert await waiting(store, device) == []


async def test_keys_are_never_used_again_whatever_was_deleted(store: Store) -> None:
    device, channel = await new_channel(store)
    seen: set[Key] = set()
    last = 0
    for number in range(12):
        key = await add_one(store, push_message(device, channel, topic="t" if number % 2 else None))
        assert key > last
        seen, last = seen | {key}, key
        if number % 3 == 0:
            await store.push.acknowledge([(device, key)])
        if number % 3 == 1:
            await store.push.delete(key, channel)
        if number % 5 == 0:
            await store.push.sweep(NOW + 10**9)
    assert len(seen) == 12


async def test_only_messages_that_are_urgent_enough_are_read(store: Store) -> None:
    device, channel = await new_channel(store)
    for urgency in Urgency:
        await add_one(store, push_message(device, channel, urgency.encode(), urgency=urgency.value))
    for least in Urgency:
        found = await store.push.waiting(device, 0, 100, NOW, least)
        assert [message.data.decode() for message in found] == list(least.and_above)


# --- nodes and broadcasts --------------------------------------------------------------------------------------------


async def test_a_device_is_connected_while_its_node_gives_signs_of_life(store: Store) -> None:
    await store.push.register(UAID, "c1", None, "node-1", NOW)
    await store.push.register(OTHER_UAID, "c1", None, "node-2", NOW)
    both = [UAID, OTHER_UAID, "c" * 32]
    assert await store.push.connected(both, NOW) == set()
    await store.push.beat("node-1", NOW)
    await store.push.beat("node-2", NOW - 1)
    assert await store.push.connected(both, NOW) == {UAID}
    await store.push.beat("node-2", NOW + 5)
    assert await store.push.connected(both, NOW) == {UAID, OTHER_UAID}
    await store.push.ended("node-1")
    assert await store.push.connected(both, NOW) == {OTHER_UAID}


async def test_a_device_whose_socket_closed_is_not_connected(store: Store) -> None:
    device = await store.push.register(UAID, "c1", None, "node-1", NOW)
    await store.push.beat("node-1", NOW)
    await store.push.gone(device, "node-1")
    assert await store.push.connected([UAID], NOW) == set()


async def test_a_node_that_has_long_been_silent_is_swept_out(store: Store) -> None:
    await store.push.register(UAID, "c1", None, "node-1", NOW)
    await store.push.beat("node-1", NOW)
    await store.push.sweep(NOW + 3_600_000)
    assert await store.push.connected([UAID], NOW) == {UAID}
    await store.push.sweep(NOW + 3_600_001)
    assert await store.push.connected([UAID], NOW) == set()


async def test_a_broadcast_has_the_version_that_it_was_given_last(store: Store) -> None:
    assert await store.push.broadcasts() == {}
    for id, version in (("b/1", "v1"), ("a", "v1"), ("b/1", "v2")):
        await store.push.set_broadcast(id, version, NOW)
    assert list((await store.push.broadcasts()).items()) == [("a", "v1"), ("b/1", "v2")]


# --- a source counts once --------------------------------------------------------------------------------------------


async def test_a_source_is_accepted_once_also_within_a_batch(store: Store) -> None:
    device, channel = await new_channel(store)
    first, second = (push_message(device, channel, source=source * 16) for source in (b"1", b"2"))
    keys = await store.push.add([first, first], NOW)
    assert (keys[0] is None, keys[1]) == (False, None)
    again = await store.push.add([second, first], NOW)
    assert (again[0] is None, again[1]) == (False, None)
    assert len(await waiting(store, device)) == 2


async def test_a_source_counts_once_even_after_it_was_acknowledged(store: Store) -> None:
    device, channel = await new_channel(store)
    message = push_message(device, channel, source=b"s" * 16)
    key = await add_one(store, message)
    await store.push.acknowledge([(device, key)])
    assert await store.push.add([message], NOW + 1) == [None]
    assert await waiting(store, device) == []


async def test_a_source_that_a_newer_message_of_its_topic_replaced_does_not_come_back(store: Store) -> None:
    device, channel = await new_channel(store)
    old = push_message(device, channel, b"old", topic="t", source=b"1" * 16)
    new = push_message(device, channel, b"new", topic="t", source=b"2" * 16)
    await store.push.add([old], NOW)
    await store.push.add([new], NOW)
    assert await store.push.add([old], NOW) == [None]
    assert await waiting(store, device) == [b"new"]


async def test_a_source_is_forgotten_when_its_message_would_have_expired(store: Store) -> None:
    device, channel = await new_channel(store)
    message = push_message(device, channel, source=b"s" * 16, expires_at=NOW + 10)
    key = await add_one(store, message)
    await store.push.acknowledge([(device, key)])
    await store.push.sweep(NOW + 5)
    assert await store.push.add([message], NOW + 6) == [None]
    await store.push.sweep(NOW + 15)
    later = push_message(device, channel, source=b"s" * 16, expires_at=NOW + 30)
    assert await store.push.add([later], NOW + 16) != [None]


async def test_many_senders_at_once_each_get_their_own_key(store: Store) -> None:
    device, channel = await new_channel(store)
    batches = [[push_message(device, channel, b"%d" % n, source=b"%016d" % (n % 60))] for n in range(100)]
    answers = await soon(asyncio.gather(*(store.push.add(batch, NOW) for batch in batches)))
    keys = [key for [key] in answers if key is not None]
    assert len(keys) == len(set(keys)) == 60
    found = await store.push.waiting(device, 0, 100, NOW)
    assert sorted(int(message.data) % 60 for message in found) == list(range(60))


async def _node(store: Store) -> str | None:
    [channel] = await store.push.channels([(UAID, "c1")])
    assert channel is not None
    return channel.node
