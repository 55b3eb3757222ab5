"""What RFC 9113 lets a server send and what not, by section, byte for byte and without a socket."""

import struct

import pytest

from clarion.ports import HttpResponse
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
    OK,
    Rig,
    answer,
    goodbye,
    resets,
)

WHOLE = END_HEADERS | END_STREAM
CREATED = b"\x48\x03201"
NOT_FOUND = b"\x8d"


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def part(data: bytes, flags: int = 0) -> bytes:
    """Of the body on stream 1."""
    return frame(DATA, flags, 1, data)


def raw_settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


# --- what ends the connection ----------------------------------------------------------------------------------------

# Two requests are under way, on streams 1 and 3.
FATAL = [
    ("4.2 longer than we read", frame(DATA, 0, 1, bytes(DEFAULT_FRAME + 1)), Code.FRAME_SIZE_ERROR),
    ("4.2 longer than we read", frame(HEADERS, WHOLE, 1, OK + bytes(DEFAULT_FRAME)), Code.FRAME_SIZE_ERROR),
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
    ("6.10 another answer between", frame(HEADERS, 0, 1, OK) + answer(3), Code.PROTOCOL_ERROR),
    (
        "6.10 a body between",
        answer(1, OK, b"x")[:-10] + frame(HEADERS, 0, 3, OK) + frame(DATA, END_STREAM, 1),
        Code.PROTOCOL_ERROR,
    ),
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

UNDER_WAY = frame(HEADERS, END_HEADERS, 1, OK)
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
    (
        "a body in parts",
        UNDER_WAY + part(b"he") + part(b"") + part(b"llo", END_STREAM),
        HttpResponse(200, body=b"hello"),
    ),
    ("an empty end", UNDER_WAY + part(b"", END_STREAM), HttpResponse(200)),
    ("6.1 a padded body", UNDER_WAY + part(b"\x03hello\0\0\0", END_STREAM | PADDED), HttpResponse(200, body=b"hello")),
    ("6.1 nothing but padding", UNDER_WAY + part(b"\x03\0\0\0", END_STREAM | PADDED), HttpResponse(200)),
    ("6.2 padded", frame(HEADERS, WHOLE | PADDED, 1, b"\x02\x88\0\0"), HttpResponse(200)),
    ("6.2 with a priority", frame(HEADERS, WHOLE | PRIORITIZED, 1, bytes(5) + OK), HttpResponse(200)),
    (
        "6.2 with both",
        frame(HEADERS, WHOLE | PRIORITIZED | PADDED, 1, b"\x01" + bytes(5) + OK + b"\0"),
        HttpResponse(200),
    ),
    (
        "6.10 continued",
        frame(HEADERS, END_STREAM, 1)
        + frame(CONTINUATION, 0, 1, b"\x08\x034")
        + frame(CONTINUATION, END_HEADERS, 1, b"10" + AGE),
        HttpResponse(410, {"age": "12"}),
    ),
    ("8.1 trailers", UNDER_WAY + part(b"hello") + frame(HEADERS, WHOLE, 1, AGE), HttpResponse(200, body=b"hello")),
    ("8.1 early hints", EARLY + EARLY + answer(1, CREATED), HttpResponse(201)),
    ("8.1 no need of the rest", answer(1, b"\x08\x03413") + rst_stream(1, Code.NO_ERROR), HttpResponse(413)),
    (
        "8.1 cut off after a success",
        UNDER_WAY + part(b"he") + rst_stream(1, Code.CANCEL),
        HttpResponse(200, body=b"he", error="stream reset: CANCEL"),
    ),
    (
        "6.4 reset",
        rst_stream(1, Code.INTERNAL_ERROR),
        HttpResponse(0, error="stream reset: INTERNAL_ERROR", unknown=True),
    ),
    (
        "7 an unknown code",
        frame(RST_STREAM, 0, 1, b"\0\0\xff\xff"),
        HttpResponse(0, error="stream reset: error 0xffff", unknown=True),
    ),
]


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
