"""How streams and connections end, in order and out of it: RFC 9113 §5.4, §6.8, §8.7, §10.5, and our own patience."""

import asyncio
import struct

import pytest

from clarion.ports import HttpResponse
from clarion.transport.http2 import Limits
from clarion.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    Code,
    Setting,
    frame,
    rst_stream,
    settings_frame,
    window_update,
)
from contract.support_http2 import (
    OK,
    Frame,
    Rig,
    answer,
    goodbye,
    resets,
    statuses,
)

WHOLE = END_HEADERS | END_STREAM
CREATED = b"\x48\x03201"
NOT_FOUND = b"\x8d"
UNDER_WAY = frame(HEADERS, END_HEADERS, 1, OK)
EARLY = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103\x0f\x1f\x04/m/1")


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


# --- streams and their end --------------------------------------------------------------------------------------------


async def test_8_7_a_refused_stream_may_be_sent_again() -> None:
    rig = Rig({})
    call = rig.send(2)
    rig.feed(rst_stream(1, Code.REFUSED_STREAM), answer(3))
    assert rig.back == [call]
    assert call.pending == [range(1)]
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
    assert call.pending == [range(4, 6)]


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


# --- GOAWAY -----------------------------------------------------------------------------------------------------------


async def test_6_8_what_the_peer_did_not_look_at_is_sent_elsewhere() -> None:
    rig = Rig({})
    call = rig.send(3)
    rig.frames()
    rig.feed(goaway(3, Code.NO_ERROR, b'{"reason":"Shutdown"}'))
    assert call.pending == [range(2, 3)]
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
    assert call.pending == [range(2, 3)]
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


# --- floods (§10.5) ---------------------------------------------------------------------------------------------------

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
    ("CONTINUATION", frame(CONTINUATION, 0, 1, bytes(8_000)), frame(HEADERS, 0, 1)),
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
