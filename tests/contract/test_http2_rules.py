"""Every rule of RFC 9113 that a server can put our HTTP/2 client to, by section, byte for byte and without a socket."""

import asyncio
import struct

import pytest

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2 import Limits
from clarion.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
    frame,
    rst_stream,
    settings_frame,
    window_update,
)
from contract.support_http2 import (
    ACKNOWLEDGED,
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


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def raw_settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


# --- what ends the connection ----------------------------------------------------------------------------------------

# Two requests are under way, on streams 1 and 3.
FATAL = [
    ("4.2 longer than we read", frame(DATA, 0, 1, bytes(DEFAULT_FRAME + 1)), Code.FRAME_SIZE_ERROR),
    ("4.3 an index of nothing", answer(1, b"\x88\xff\x00"), None),  # passed over: a success is not decoded
    ("4.3 an index of nothing", answer(1, b"\x8d\xfe"), Code.COMPRESSION_ERROR),
    ("4.3 cut short", answer(1, b"\x8d\x00\x05abc"), Code.COMPRESSION_ERROR),
    ("4.3 a table that we do not have", answer(1, b"\x3f\xe1\x1f\x8d"), Code.COMPRESSION_ERROR),
    ("5.1 idle", answer(5), Code.PROTOCOL_ERROR),
    ("5.1 idle", frame(DATA, END_STREAM, 5, b"x"), Code.PROTOCOL_ERROR),
    ("5.1 idle", rst_stream(5, Code.CANCEL), Code.PROTOCOL_ERROR),
    ("5.1 idle", window_update(5, 1), Code.PROTOCOL_ERROR),
    ("5.1 closed", answer(1) + answer(1), Code.STREAM_CLOSED),
    ("5.1 closed", answer(1) + frame(DATA, 0, 1, b"x"), Code.STREAM_CLOSED),
    ("5.1 closed", answer(1) + rst_stream(1, Code.NO_ERROR), None),
    ("5.1 closed", answer(1) + window_update(1, 1), None),
    ("5.1.1 a stream of the server's", answer(2), Code.PROTOCOL_ERROR),
    ("6.1 on no stream", frame(DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    ("6.1 padding", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, PADDED, 1, b"\x02x"), Code.PROTOCOL_ERROR),
    ("6.1 padding", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, PADDED, 1), Code.FRAME_SIZE_ERROR),
    ("6.2 on no stream", answer(0), Code.PROTOCOL_ERROR),
    ("6.2 padding", frame(HEADERS, WHOLE | PADDED, 1, b"\x09\x88"), Code.PROTOCOL_ERROR),
    ("6.2 priority", frame(HEADERS, WHOLE | PRIORITIZED, 1, b"\x88"), Code.FRAME_SIZE_ERROR),
    ("6.3 on no stream", frame(PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
    ("6.3 length", frame(PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
    ("6.3 is of no use", frame(PRIORITY, 0, 1, bytes(5)), None),
    ("6.4 on no stream", frame(RST_STREAM, 0, 0, bytes(4)), Code.PROTOCOL_ERROR),
    ("6.4 length", frame(RST_STREAM, 0, 1, bytes(5)), Code.FRAME_SIZE_ERROR),
    ("6.5 on a stream", frame(SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    ("6.5 length", frame(SETTINGS, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
    ("6.5 acknowledged with words", frame(SETTINGS, ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    ("6.5.2 push", raw_settings((Setting.ENABLE_PUSH, 1)), Code.PROTOCOL_ERROR),
    ("6.5.2 push", raw_settings((Setting.ENABLE_PUSH, 0)), None),
    ("6.5.2 window", raw_settings((Setting.INITIAL_WINDOW_SIZE, 2**31)), Code.FLOW_CONTROL_ERROR),
    ("6.5.2 frame too small", raw_settings((Setting.MAX_FRAME_SIZE, 16_383)), Code.PROTOCOL_ERROR),
    ("6.5.2 frame too large", raw_settings((Setting.MAX_FRAME_SIZE, 2**24)), Code.PROTOCOL_ERROR),
    ("6.5.2 unknown", raw_settings((0xFFFF, 7), (Setting.MAX_HEADER_LIST_SIZE, 1)), None),
    ("6.6 push", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82"), Code.PROTOCOL_ERROR),
    ("6.7 on a stream", frame(PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    ("6.7 length", frame(PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    ("6.8 on a stream", frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    ("6.8 length", frame(GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    ("6.9 length", frame(WINDOW_UPDATE, 0, 0, bytes(3)), Code.FRAME_SIZE_ERROR),
    ("6.9 by nothing", window_update(0, 0), Code.PROTOCOL_ERROR),
    ("6.9 reserved bit", frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1"), None),
    ("6.9.1 over 2^31-1", window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    ("6.10 of nothing", frame(CONTINUATION, END_HEADERS, 1, OK), Code.PROTOCOL_ERROR),
    ("6.10 another frame between", frame(HEADERS, 0, 1, OK) + frame(PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
    ("6.10 another stream", frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 4, 3), Code.PROTOCOL_ERROR),
    ("6.10 an unknown frame between", frame(HEADERS, 0, 1, OK) + frame(0xBB, 0, 0), Code.PROTOCOL_ERROR),
    ("5.5 unknown frames", frame(0xBB, 0xFF, 77, b"anything"), None),
]


@pytest.mark.parametrize(("rule", "data", "code"), FATAL, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(FATAL)])
@pytest.mark.parametrize("piece", [1 << 20, 1])
async def test_what_ends_a_connection(rule: str, data: bytes, code: Code | None, piece: int) -> None:
    rig = Rig({})
    call = rig.send(2)
    rig.frames()
    rig.feed(data, piece=piece)
    if code is None:
        assert rig.ended is None
        rig.feed(answer(3))
        assert call.answers[1] == HttpResponse(200)
        return
    assert rig.ended is not None
    assert rig.ended.startswith(code.name)
    assert (goodbye(rig), rig.wire.closed) == (code, True)
    assert call.answers[1] == HttpResponse(0, error=rig.ended, unknown=True)
    assert call.done.done()
    rig.feed(answer(3))  # nothing is read any more
    assert rig.frames() == []


@pytest.mark.parametrize(
    "first",
    [ACKNOWLEDGED[:3] + b"\x06" + ACKNOWLEDGED[4:], frame(PING, 0, 0, bytes(8)), b"HTTP/1.1 400 Bad Request\r\n\r\n"],
)
async def test_3_4_the_first_frame_is_settings(first: bytes) -> None:
    rig = Rig()
    rig.feed(first)
    assert goodbye(rig) in (Code.PROTOCOL_ERROR, Code.FRAME_SIZE_ERROR)
    with pytest.raises(ConnectionResetError):
        await rig.connection.settled


async def test_3_4_nothing_is_sent_before_the_peer_said_what_it_allows() -> None:
    rig = Rig()
    assert rig.connection.room() == 0
    rig.feed(settings_frame({Setting.MAX_CONCURRENT_STREAMS: 7}))
    assert rig.connection.settled.done()
    assert rig.connection.room() == 7


# --- what ends one stream ---------------------------------------------------------------------------------------------

BROKEN = [
    ("6.9 by nothing", window_update(1, 0), Code.PROTOCOL_ERROR),
    ("8.1 a body first", frame(DATA, END_STREAM, 1, b"x"), Code.PROTOCOL_ERROR),
    ("8.1 no final answer", answer(1, b"\x08\x03103"), Code.PROTOCOL_ERROR),
    ("8.2.1 capitals", answer(1, NOT_FOUND + b"\x00\x01A\x01b"), Code.PROTOCOL_ERROR),
    ("8.3 after others", answer(1, b"\x00\x01a\x01b" + NOT_FOUND), Code.PROTOCOL_ERROR),
    ("8.3 twice", answer(1, NOT_FOUND + NOT_FOUND), Code.PROTOCOL_ERROR),
    ("8.3 of a request", answer(1, NOT_FOUND + b"\x82"), Code.PROTOCOL_ERROR),
    ("8.3.2 none", answer(1, b"\x00\x01a\x01b"), Code.PROTOCOL_ERROR),
    ("8.3.2 empty", answer(1, b""), Code.PROTOCOL_ERROR),
    ("8.3.2 no number", answer(1, b"\x08\x0320x"), Code.PROTOCOL_ERROR),
    ("8.6 no 101", answer(1, b"\x08\x03101"), Code.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("rule", "data", "code"), BROKEN, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(BROKEN)])
async def test_what_ends_a_stream(rule: str, data: bytes, code: Code) -> None:
    rig = Rig({})
    call = rig.send(2)
    rig.frames()
    rig.feed(data, answer(3))
    assert rig.ended is None
    assert resets(rig) == {1: code}
    broken, well = call.answers
    assert (broken and broken.status, broken and broken.unknown) == (0, True)
    assert well == HttpResponse(200)


async def test_8_1_trailers_must_end_the_answer() -> None:
    rig = Rig({})
    call = rig.send(1)
    rig.feed(frame(HEADERS, END_HEADERS, 1, OK), frame(HEADERS, END_HEADERS, 1, b"\x00\x01a\x01b"))
    assert resets(rig) == {1: Code.PROTOCOL_ERROR}
    assert call.answers == [HttpResponse(200, error="PROTOCOL_ERROR: trailers that end nothing")]


# --- answers ----------------------------------------------------------------------------------------------------------

LOCATION = b"\x0f\x1f\x04/m/1"  # literal, name 46 of the static table
AGE = b"\x0f\x06\x0212"
EARLY = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103" + LOCATION)

ANSWERS = [
    ("200", answer(1, OK), HttpResponse(200)),
    ("204", answer(1, b"\x89"), HttpResponse(204)),
    ("201 written out", answer(1, CREATED), HttpResponse(201)),
    ("201 not to be indexed", answer(1, b"\x18\x03201"), HttpResponse(201)),
    ("201 by another name", answer(1, b"\x0e\x03201"), HttpResponse(201)),
    ("201 in Huffman's code", answer(1, b"\x48\x82\x10\x03"), HttpResponse(201)),
    ("202 in Huffman's code", answer(1, b"\x08\x82\x10\x05"), HttpResponse(202)),
    ("200 in full words", answer(1, b"\x00\x07:status\x03200"), HttpResponse(200)),
    ("a table size of nothing", answer(1, b"\x20" + OK), HttpResponse(200)),
    ("a plain success has no headers", answer(1, CREATED + LOCATION), HttpResponse(201)),
    ("a refusal has", answer(1, b"\x08\x03410" + AGE), HttpResponse(410, {"age": "12"})),
    ("the same header twice", answer(1, NOT_FOUND + AGE + AGE), HttpResponse(404, {"age": "12, 12"})),
    ("a value that is not UTF-8", answer(1, NOT_FOUND + b"\x0f\x06\x01\xe4"), HttpResponse(404, {"age": "ä"})),
    ("a body", answer(1, OK, b"hello"), HttpResponse(200, body=b"hello")),
    ("a refusal's body", answer(1, NOT_FOUND, b"hello"), HttpResponse(404, body=b"hello")),
    ("a body in parts", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"he") + frame(DATA, 0, 1) + frame(DATA, END_STREAM, 1, b"llo"), HttpResponse(200, body=b"hello")),
    ("an empty end", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, END_STREAM, 1), HttpResponse(200)),
    ("6.1 a padded body", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, END_STREAM | PADDED, 1, b"\x03hello\0\0\0"), HttpResponse(200, body=b"hello")),
    ("6.1 nothing but padding", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, END_STREAM | PADDED, 1, b"\x03\0\0\0"), HttpResponse(200)),
    ("6.2 padded", frame(HEADERS, WHOLE | PADDED, 1, b"\x02\x88\0\0"), HttpResponse(200)),
    ("6.2 with a priority", frame(HEADERS, WHOLE | PRIORITIZED, 1, bytes(5) + OK), HttpResponse(200)),
    ("6.2 with both", frame(HEADERS, WHOLE | PRIORITIZED | PADDED, 1, b"\x01" + bytes(5) + OK + b"\0"), HttpResponse(200)),
    ("6.10 continued", frame(HEADERS, END_STREAM, 1) + frame(CONTINUATION, 0, 1, b"\x08\x034") + frame(CONTINUATION, END_HEADERS, 1, b"10" + AGE), HttpResponse(410, {"age": "12"})),
    ("8.1 trailers", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"hello") + frame(HEADERS, WHOLE, 1, AGE), HttpResponse(200, body=b"hello")),
    ("8.1 early hints", EARLY + EARLY + answer(1, CREATED), HttpResponse(201)),
    ("8.1 no need of the rest", answer(1, b"\x08\x03413") + rst_stream(1, Code.NO_ERROR), HttpResponse(413)),
    ("8.1 cut off after a success", frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"he") + rst_stream(1, Code.CANCEL), HttpResponse(200, body=b"he", error="stream reset: CANCEL")),
    ("6.4 reset", rst_stream(1, Code.INTERNAL_ERROR), HttpResponse(0, error="stream reset: INTERNAL_ERROR", unknown=True)),
    ("7 an unknown code", frame(RST_STREAM, 0, 1, b"\0\0\xff\xff"), HttpResponse(0, error="stream reset: error 0xffff", unknown=True)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "data", "expected"), ANSWERS, ids=[rule for rule, *_ in ANSWERS])
@pytest.mark.parametrize("piece", [1 << 20, 1, 10])
async def test_answers(rule: str, data: bytes, expected: HttpResponse, piece: int) -> None:
    rig = Rig({})
    call = rig.send(1)
    rig.frames()
    rig.feed(data, piece=piece)
    assert call.answers == [expected]
    assert call.done.done()
    assert rig.ended is None
    assert rig.frames() == []


async def test_headers_of_a_success_are_read_for_whoever_wants_them() -> None:
    rig = Rig({})
    call = rig.send(2, wants_headers=True)
    rig.feed(answer(1, CREATED + LOCATION), answer(3, OK + AGE, b"hello"))
    assert call.answers == [HttpResponse(201, {"location": "/m/1"}), HttpResponse(200, {"age": "12"}, b"hello")]


async def test_a_peer_may_use_its_table_until_it_acknowledges_that_it_has_none() -> None:
    rig = Rig()
    rig.feed(settings_frame({}))
    call = rig.send(5)
    stored = b"\x40\x05x-one\x01a"
    rig.feed(answer(1, NOT_FOUND + stored), answer(3, NOT_FOUND + b"\xbe"))
    rig.feed(ACKNOWLEDGED, answer(5, OK + stored), answer(7, b"\x20" + NOT_FOUND + stored))
    assert [each and each.headers for each in call.answers[:4]] == [{"x-one": "a"}, {"x-one": "a"}, {}, {"x-one": "a"}]
    rig.feed(answer(9, NOT_FOUND + b"\xbe"))
    assert goodbye(rig) == Code.COMPRESSION_ERROR


async def test_a_body_is_kept_up_to_a_bound_and_the_rest_is_not_read() -> None:
    rig = Rig({}, Limits(answer_bytes=10))
    call = rig.send(4)
    rig.frames()
    exact, over = b"0123456789", b"0123456789x"
    rig.feed(answer(1, OK, exact), answer(3, OK, over))
    rig.feed(
        frame(HEADERS, END_HEADERS, 5, OK), frame(DATA, 0, 5, over), frame(DATA, 0, 5, over), frame(DATA, END_STREAM, 5)
    )
    rig.feed(answer(7, NOT_FOUND, over))
    assert [(each.status, each.body) for each in call.answers if each] == [(200, exact)] * 3 + [(404, exact)]
    assert resets(rig) == {5: Code.CANCEL}
    assert rig.ended is None


# --- SETTINGS at any time ----------------------------------------------------------------------------------------------


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


# --- flow control -------------------------------------------------------------------------------------------------------


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
        call_of(HttpBatch("https://push.example", (), [BatchRequest("/", long, b"x"), BatchRequest("/", long, b"")]))
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


# --- streams and their end ---------------------------------------------------------------------------------------------


async def test_8_7_a_refused_stream_may_be_sent_again() -> None:
    rig = Rig({})
    call = rig.send(2)
    rig.feed(rst_stream(1, Code.REFUSED_STREAM), answer(3))
    assert rig.back == [call]
    assert call.pending == [0]
    rig.go_on(call)
    rig.feed(answer(5, CREATED))
    assert statuses(call.answers) == [201, 200]


async def test_8_7_who_refuses_for_ever_is_asked_five_times() -> None:
    rig = Rig({})
    call = rig.send(1)
    for stream in (1, 3, 5, 7, 9):
        assert not call.done.done()
        rig.feed(rst_stream(stream, Code.REFUSED_STREAM))
        rig.go_on(call)
    assert call.answers == [HttpResponse(0, error="stream reset: REFUSED_STREAM")]


async def test_5_1_1_stream_numbers_run_out() -> None:
    rig = Rig({}, Limits(last_stream=7))
    call = rig.send(6)
    assert list(rig.requests()) == [1, 3, 5, 7]
    assert (rig.connection.room(), rig.connection.draining) == (0, True)
    rig.feed(*(answer(stream) for stream in (1, 3, 5)))
    assert rig.ended is None
    rig.feed(answer(7))
    assert goodbye(rig) == Code.NO_ERROR
    assert statuses(call.answers) == [200] * 4 + [None] * 2
    assert call.pending == [5, 4]


async def test_a_slow_answer_is_given_up_and_its_late_frames_are_passed_over() -> None:
    rig = Rig({}, Limits(request_s=20))
    call = rig.send(2)
    rig.frames()
    now = asyncio.get_running_loop().time()
    rig.connection.look(now + 19)
    assert statuses(call.answers) == [None, None]
    rig.feed(answer(3))
    rig.connection.look(now + 21)
    assert call.answers == [HttpResponse(0, error="no answer within 20 s", unknown=True), HttpResponse(200)]
    assert resets(rig) == {1: Code.CANCEL}
    rig.feed(
        frame(HEADERS, END_HEADERS, 1, OK),
        frame(DATA, 0, 1, b"x"),
        frame(DATA, END_STREAM, 1),
        frame(PING, 0, 0, bytes(8)),
    )
    assert [each.kind for each in rig.frames()] == [PING]
    rig.feed(frame(DATA, 0, 1, b"x"))
    assert goodbye(rig) == Code.STREAM_CLOSED


async def test_a_connection_with_too_many_given_up_streams_takes_no_more() -> None:
    rig = Rig({}, Limits(streams=2_000))
    rig.send(1_001)
    rig.connection.look(asyncio.get_running_loop().time() + 100)
    assert rig.connection.draining


async def test_6_7_pings_are_answered_and_silence_is_asked_about() -> None:
    rig = Rig({}, Limits(ping_s=15, request_s=1_000))
    call = rig.send(1)
    rig.frames()
    rig.feed(frame(PING, 0, 0, b"12345678"), frame(PING, ACK, 0, b"12345678"))
    assert rig.frames() == [Frame(PING, ACK, 0, b"12345678")]
    now = rig.connection.heard_at
    rig.connection.look(now + 14)
    assert rig.frames() == []
    rig.connection.look(now + 16)
    rig.connection.look(now + 29)
    assert [(each.kind, each.flags) for each in rig.frames()] == [(PING, 0)]
    rig.connection.look(now + 31)
    assert (rig.ended, call.done.done()) == ("no sign of life from the peer", True)


# --- GOAWAY ------------------------------------------------------------------------------------------------------------


async def test_6_8_what_the_peer_did_not_look_at_is_sent_elsewhere() -> None:
    rig = Rig({})
    call = rig.send(3)
    rig.frames()
    rig.feed(goaway(3, Code.NO_ERROR, b'{"reason":"Shutdown"}'))
    assert call.pending == [2]
    assert rig.back == [call]
    assert rig.connection.room() == 0
    rig.feed(answer(1))
    assert rig.ended is None
    rig.connection.connection_lost(None)
    assert rig.ended == 'GOAWAY NO_ERROR {"reason":"Shutdown"}'
    assert call.answers == [HttpResponse(200), HttpResponse(0, error=rig.ended, unknown=True), None]


async def test_6_8_a_graceful_end_in_two_steps() -> None:
    rig = Rig({})
    call = rig.send(3)
    rig.feed(goaway(2**31 - 1), answer(1))
    assert (call.pending, rig.connection.draining) == ([], True)
    rig.feed(goaway(3), answer(3))
    assert call.pending == [2]
    assert rig.wire.closed
    assert statuses(call.answers) == [200, 200, None]


async def test_6_8_who_began_to_answer_did_look() -> None:
    rig = Rig({})
    call = rig.send(1)
    rig.feed(frame(HEADERS, END_HEADERS, 1, OK), goaway(0, Code.INTERNAL_ERROR))
    assert call.answers == [HttpResponse(200, error="GOAWAY INTERNAL_ERROR")]
    assert call.pending == []


async def test_6_8_at_once_and_with_a_reason() -> None:
    rig = Rig()
    rig.feed(goaway(0, Code.ENHANCE_YOUR_CALM, b'{"reason":"BadCertificate"}'))
    with pytest.raises(ConnectionResetError, match="BadCertificate"):
        await rig.connection.settled


async def test_a_broken_connection_leaves_what_was_sent_unknown() -> None:
    rig = Rig({})
    call = rig.send(2)
    rig.feed(frame(HEADERS, END_HEADERS, 3, OK))
    rig.connection.connection_lost(OSError("reset by peer"))
    lost = "connection lost: reset by peer"
    assert call.answers == [HttpResponse(0, error=lost, unknown=True), HttpResponse(200, error=lost)]


# --- floods (§10.5) ----------------------------------------------------------------------------------------------------

UNDER_WAY = frame(HEADERS, END_HEADERS, 1, OK)
FLOODS = [
    ("SETTINGS", settings_frame({Setting.MAX_CONCURRENT_STREAMS: 5}), b""),
    ("PING", frame(PING, 0, 0, bytes(8)), b""),
    ("PRIORITY", frame(PRIORITY, 0, 1, bytes(5)), b""),
    ("WINDOW_UPDATE", window_update(1, 1), b""),
    ("RST_STREAM", rst_stream(1, Code.CANCEL), b""),
    ("empty DATA", frame(DATA, 0, 1), UNDER_WAY),
    ("padding", frame(DATA, PADDED, 1, b"\xff" + bytes(255)), UNDER_WAY),
    ("1xx", EARLY, b""),
    ("unknown", frame(0xBB, 0, 0, b"x" * 100), b""),
    ("empty CONTINUATION", frame(CONTINUATION, 0, 1), frame(HEADERS, 0, 1)),
    ("CONTINUATION", frame(CONTINUATION, 0, 1, bytes(16_000)), frame(HEADERS, 0, 1)),
]


@pytest.mark.parametrize(("what", "flood", "before"), FLOODS, ids=[what for what, *_ in FLOODS])
async def test_10_5_floods_end_the_connection(what: str, flood: bytes, before: bytes) -> None:
    rig = Rig({}, Limits(answer_bytes=10**9))
    call = rig.send(2)
    rig.feed(before)
    sent = 0
    while rig.ended is None and sent < 12_000:
        rig.feed(flood)
        sent += 1
    assert rig.ended is not None
    assert goodbye(rig) == Code.ENHANCE_YOUR_CALM
    assert call.done.done()


async def test_10_5_headers_that_unpack_to_too_much() -> None:
    rig = Rig({})
    rig.send(1)
    rig.feed(answer(1, NOT_FOUND + b"\x87" * 10_000))
    assert goodbye(rig) in (Code.ENHANCE_YOUR_CALM, Code.PROTOCOL_ERROR)
    rig = Rig({})
    rig.send(1)
    rig.feed(answer(1, NOT_FOUND + b"\x90" * 10_000))
    assert goodbye(rig) == Code.ENHANCE_YOUR_CALM


async def test_answers_in_between_are_no_flood() -> None:
    rig = Rig({})
    for stream in range(1, 61, 2):
        call = rig.send(1)
        rig.feed(*[frame(PING, 0, 0, bytes(8))] * 900, answer(stream))
        assert call.done.done()
    assert rig.ended is None


async def test_who_does_not_read_gets_no_more() -> None:
    rig = Rig({})
    rig.connection.pause_writing()
    assert rig.connection.room() == 0
    rig.connection.resume_writing()
    assert rig.connection.room() == 1_000


# --- APNs: one stream until the first success -----------------------------------------------------------------------


@pytest.mark.parametrize("success", [answer(3), answer(3, CREATED), answer(3, OK, b"x"), answer(3, b"\x20" + OK)])
async def test_cautious_until_the_first_success(success: bytes) -> None:
    rig = Rig({}, cautious=True)
    call = rig.send(5)
    assert len(rig.requests()) == 1
    rig.feed(answer(1, b"\x08\x03403", b'{"reason":"ExpiredProviderToken"}'))
    assert rig.connection.room() == 1
    rig.go_on(call)
    rig.feed(success)
    assert rig.connection.room() == 1_000
    rig.go_on(call)
    rig.feed(answer(5), answer(7), answer(9))
    assert [each and each.status for each in call.answers][2:] == [200] * 3


async def test_many_requests_are_one_write() -> None:
    rig = Rig({})
    before = rig.wire.writes
    rig.send(200)
    assert rig.wire.writes == before + 1
    assert len(rig.requests()) == 200
