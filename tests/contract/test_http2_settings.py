"""SETTINGS at any time, tables of headers of any size, and flow control (RFC 9113 §5.2, §6.5, §6.9; RFC 7541 §4)."""

import pytest

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2 import Limits
from clarion.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
    frame,
    settings_frame,
    window_update,
)
from contract.support_http2 import (
    BODY,
    OK,
    PSEUDO,
    SHARED,
    Frame,
    Rig,
    answer,
    call_of,
    goodbye,
    resets,
    statuses,
)

WHOLE = END_HEADERS | END_STREAM
CREATED = b"\x48\x03201"
NOT_FOUND = b"\x8d"
UNDER_WAY = frame(HEADERS, END_HEADERS, 1, OK)
EARLY = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103\x0f\x1f\x04/m/1")


# --- SETTINGS at any time ---------------------------------------------------------------------------------------------


async def test_6_5_3_settings_are_acknowledged_in_order_before_they_are_used() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 0})
    rig.send(1, b"")
    rig.frames()
    rig.feed(settings_frame({Setting.INITIAL_WINDOW_SIZE: 5}))
    assert [each.kind for each in rig.frames()] == [SETTINGS, DATA]


async def test_5_1_2_fewer_streams_than_are_open() -> None:
    rig = Rig({Setting.MAX_CONCURRENT_STREAMS: 4})
    call = rig.send(6)
    assert (len(rig.requests()), rig.connection.room()) == (4, 0)
    rig.feed(settings_frame({Setting.MAX_CONCURRENT_STREAMS: 2}))
    rig.feed(answer(1), answer(3))
    assert rig.connection.room() == 0
    rig.feed(answer(5))
    assert rig.connection.room() == 1
    rig.go_on(call)
    rig.feed(settings_frame({Setting.MAX_CONCURRENT_STREAMS: 0}), answer(7), answer(9))
    assert rig.connection.room() == 0
    rig.feed(settings_frame({Setting.MAX_CONCURRENT_STREAMS: 100}))
    rig.go_on(call)
    rig.feed(answer(11))
    assert statuses(call.answers) == [200] * 6


@pytest.mark.parametrize("size", [0, 40, 100, 200, 4_096, 65_536])
async def test_hpack_4_2_a_table_of_any_size(size: int) -> None:
    rig = Rig({Setting.HEADER_TABLE_SIZE: size, Setting.INITIAL_WINDOW_SIZE: 2**20})
    rig.table_size(size)
    call = rig.send(20)
    for number, (headers, body, whole) in enumerate(rig.requests().values()):
        assert dict(headers) == _expected(number)
        assert (body, whole) == (b"%d " % number + BODY, True)
    assert not call.pending


async def test_hpack_4_2_the_table_shrinks_and_grows_in_between() -> None:
    rig = Rig({})
    call = rig.send(3)
    before = rig.requests()
    for sizes in ([0], [300], [50, 4_096], [4_096, 0, 1_000]):
        rig.feed(*(settings_frame({Setting.HEADER_TABLE_SIZE: size}) for size in sizes))
        rig.table_size(max(sizes))
        more = rig.send(3)
        sent = rig.requests()
        assert [dict(headers) for headers, *_ in sent.values()] == [_expected(number) for number in range(3)]
        assert rig._table.header_table_size <= sizes[-1]
        assert not more.pending
    assert len(before) == 3
    assert not call.pending


def _expected(number: int) -> dict[str, str]:
    return {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "push.example",
        ":path": f"/3/device/{number}",
        "authorization": "bearer " + "t" * 180,
        "apns-topic": "com.example.shop",
        "apns-push-type": "alert",
        "apns-id": str(number),
    }


async def test_8_3_pseudo_headers_come_first_and_constant_ones_take_a_byte_each() -> None:
    rig = Rig({})
    rig.send(2)
    first, _, second, _ = rig.frames()
    assert len(first.payload) > 250
    own = 2 + len("/3/device/1") + 2 + len("apns-id") + 1 + len("1")
    assert len(second.payload) == len(PSEUDO) + own + len(SHARED)
    headers = next(iter(rig.requests([first, second]).values()))[0]
    names = [name for name, _ in headers]
    assert names[:4] == [":method", ":scheme", ":authority", ":path"]


# --- flow control -----------------------------------------------------------------------------------------------------


async def test_6_9_bodies_wait_for_both_windows() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 10})
    call = rig.send(2, b"x" * 30)  # 32 bytes each
    sent = rig.requests()
    assert [(len(body), whole) for _, body, whole in sent.values()] == [(10, False)] * 2
    rig.feed(window_update(1, 20))
    assert [(each.stream, len(each.payload), each.flags) for each in rig.frames()] == [(1, 20, 0)]
    rig.feed(window_update(1, 2), window_update(3, 1_000))
    assert [(each.stream, len(each.payload), each.flags) for each in rig.frames()] == [(1, 2, 1), (3, 22, 1)]
    rig.feed(answer(1), answer(3))
    assert statuses(call.answers) == [200, 200]


async def test_6_9_1_the_connections_window_is_shared() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 2**20})
    rig.send(3, b"x" * 40_000)
    sizes = [len(body) for _, body, _ in rig.requests().values()]
    assert sizes == [40_002, 25_533, 0]
    assert rig.connection.room() == 0
    rig.feed(window_update(0, 20_000))
    assert [(each.stream, len(each.payload)) for each in rig.frames()] == [(3, 14_469), (5, 5_531)]
    rig.feed(window_update(0, 100_000))
    assert sum(len(each.payload) for each in rig.frames()) == 40_002 - 5_531


async def test_6_9_2_a_window_may_become_negative() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 20})
    rig.send(1, b"x" * 38)
    rig.frames()
    rig.feed(settings_frame({Setting.INITIAL_WINDOW_SIZE: 5}), window_update(1, 15))
    assert [each.kind for each in rig.frames()] == [SETTINGS]
    rig.feed(window_update(1, 1))
    assert [len(each.payload) for each in rig.frames()] == [1]
    rig.feed(settings_frame({Setting.INITIAL_WINDOW_SIZE: 24}))
    assert [(each.kind, len(each.payload), each.flags) for each in rig.frames()] == [(SETTINGS, 0, ACK), (DATA, 19, 1)]


async def test_6_9_2_a_stream_window_over_the_largest_ends_the_connection() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 0})
    rig.send(1)
    rig.feed(window_update(0, 10), settings_frame({Setting.INITIAL_WINDOW_SIZE: 0}))
    rig.send(1)
    rig.feed(frame(WINDOW_UPDATE, 0, 3, (2**31 - 1).to_bytes(4, "big")))
    assert rig.ended is None
    rig.send(1, b"x" * 100_000)
    rig.feed(frame(WINDOW_UPDATE, 0, 5, (2**31 - 1).to_bytes(4, "big")))
    rig.frames()
    rig.feed(settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}))
    assert goodbye(rig) == Code.FLOW_CONTROL_ERROR


async def test_6_9_1_a_stream_window_over_the_largest_ends_the_stream() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 1})
    call = rig.send(1)
    rig.frames()
    rig.feed(window_update(1, 2**31 - 1), window_update(1, 2**31 - 1))
    assert [each for each in rig.frames() if each.kind == DATA][-1].flags == END_STREAM
    call = rig.send(1, b"x" * 70_000)
    rig.frames()
    rig.feed(window_update(3, 2**31 - 1), window_update(3, 2**31 - 1))
    assert resets(rig) == {3: Code.FLOW_CONTROL_ERROR}
    assert call.answers[0] is not None


@pytest.mark.parametrize("size", [16_384, 20_000, 40_000])
async def test_4_2_frames_are_no_longer_than_the_peer_reads(size: int) -> None:
    rig = Rig({Setting.MAX_FRAME_SIZE: size})
    rig.send(1, b"x" * 40_000)
    frames = rig.frames()
    assert max(len(each.payload) for each in frames) == min(size, 40_002)
    assert sum(len(each.payload) for each in frames if each.kind == DATA) == 40_002


async def test_6_10_long_headers_are_continued() -> None:
    rig = Rig({})
    long = tuple((f"x-{number}", "v" * 4_000) for number in range(10))
    rig.go_on(
        call_of(HttpBatch.of("https://push.example", (), [BatchRequest("/", long, b"x"), BatchRequest("/", long, b"")]))
    )
    frames = rig.frames()
    assert [each.kind for each in frames] == [
        HEADERS,
        CONTINUATION,
        CONTINUATION,
        DATA,
        HEADERS,
        CONTINUATION,
        CONTINUATION,
    ]
    sent = rig.requests(frames)
    assert [(headers[4:], body, whole) for headers, body, whole in sent.values()] == [
        (list(long), b"x", True),
        (list(long), b"", True),
    ]


async def test_6_9_what_we_read_is_granted_again() -> None:
    rig = Rig({}, Limits(answer_bytes=10**9))
    rig.send(11)
    rig.frames()
    rig.feed(frame(HEADERS, END_HEADERS, 1, OK))
    padded = frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255))
    for stream in range(3, 23, 2):
        rig.feed(*[padded] * 8_000, answer(stream))
    granted = {0: 0, 1: 0}
    for each in rig.frames():
        granted[each.stream] += int.from_bytes(each.payload, "big")
    assert 80_000 * 257 - 2**23 <= granted[0] <= 80_000 * 257
    assert 80_000 * 257 - 32_768 <= granted[1] <= 80_000 * 257


async def test_8_1_an_early_answer_ends_the_request() -> None:
    rig = Rig({Setting.INITIAL_WINDOW_SIZE: 3})
    call = rig.send(1)
    rig.frames()
    rig.feed(answer(1, b"\x08\x03413"), window_update(1, 100))
    assert call.answers == [HttpResponse(413)]
    assert rig.frames() == [Frame(RST_STREAM, 0, 1, bytes([0, 0, 0, Code.CANCEL]))]
