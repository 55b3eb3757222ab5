"""MCS frames and protobuf fields, held against Google's own library; nothing that comes in can do harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.gateway.gcm import mcs, protobuf
from clarion.gateway.gcm.mcs import MAX_FRAME, FrameReader, NotMcs, Tag
from contract.support_gcm import PROTO, framed

numbers = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(texts, numbers, numbers, st.lists(texts, max_size=5), st.booleans())
def test_a_login_is_read_as_the_library_writes_it(
    id: str, android_id: int, token: int, received: list[str], adaptive: bool
) -> None:
    written = PROTO["LoginRequest"](
        id=id,
        domain="mcs.android.com",
        user=str(android_id),
        resource=str(android_id),
        auth_token=str(token),
        setting=[{"name": "new_vc", "value": "1"}],
        received_persistent_id=received,
        adaptive_heartbeat=adaptive,
    )
    assert mcs.parse_login(written.SerializeToString()) == mcs.Login(id, android_id, token, received)


@pytest.mark.parametrize(
    ("tag", "name"),
    [(Tag.HEARTBEAT_PING, "Heartbeat"), (Tag.HEARTBEAT_ACK, "Heartbeat"), (Tag.DATA_MESSAGE, "DataMessage")],
)
@given(last=st.integers(0, 2**31 - 1))
def test_how_far_we_were_heard_is_read(tag: Tag, name: str, last: int) -> None:
    packet = mcs.parse_packet(tag, PROTO[name](last_stream_id_received=last).SerializeToString())
    assert packet == mcs.Packet(tag, last)


@given(texts, texts, st.dictionaries(texts, texts, max_size=4), st.binary(max_size=5000), numbers, numbers, numbers)
def test_a_message_is_written_as_the_library_reads_it(
    category: str, sender: str, data: dict[str, str], body: bytes, ttl: int, sent: int, last: int
) -> None:
    message = mcs.data_message(category, sender, data, body, persistent_id="7", ttl_s=ttl, sent_ms=sent)
    read = PROTO["DataMessage"].FromString(message)
    assert (read.category, getattr(read, "from"), read.raw_data) == (category, sender, body)
    assert {each.key: each.value for each in read.app_data} == data
    assert (read.persistent_id, read.ttl, read.sent, read.immediate_ack) == ("7", ttl, sent, True)
    [(tag, whole)] = FrameReaderOf(mcs.frame(Tag.DATA_MESSAGE, message, last)).frames
    assert tag is Tag.DATA_MESSAGE
    assert PROTO["DataMessage"].FromString(whole).last_stream_id_received == last


def test_a_refused_login_and_a_stream_error_are_as_the_library_reads_them() -> None:
    refused = PROTO["LoginResponse"].FromString(mcs.login_error("me", 401, "not you"))
    assert (refused.id, refused.error.code, refused.error.message) == ("me", 401, "not you")
    error = PROTO["StreamError"].FromString(mcs.stream_error("protocol-error", "no"))
    assert (error.type, error.text) == ("protocol-error", "no")


class FrameReaderOf:
    """What a reader makes of bytes that come in one piece."""

    def __init__(self, data: bytes) -> None:
        self.reader = FrameReader()
        self.frames = list(self.reader.feed(bytes([mcs.VERSION]) + data))


frames = st.lists(st.tuples(st.sampled_from(list(Tag)), st.binary(max_size=300)), max_size=8)


@given(frames, st.lists(st.integers(1, 200), min_size=1, max_size=50))
def test_frames_are_the_same_however_they_are_cut(sent: list[tuple[Tag, bytes]], cuts: list[int]) -> None:
    data = bytes([mcs.VERSION]) + b"".join(framed(tag, message) for tag, message in sent)
    reader, read = FrameReader(), []
    for cut in cuts:
        read += reader.feed(data[:cut])
        data = data[cut:]
    assert read + list(reader.feed(data)) == sent


@given(st.lists(st.binary(max_size=2_000), max_size=40), st.booleans())
def test_whatever_comes_is_frames_or_refused_and_never_kept(pieces: list[bytes], greeted: bool) -> None:
    reader = FrameReader()
    try:
        if greeted:
            list(reader.feed(bytes([mcs.VERSION])))
        for piece in pieces:
            for tag, message in reader.feed(piece):
                assert len(message) <= MAX_FRAME
                if tag is Tag.LOGIN_REQUEST:
                    mcs.parse_login(message)
                else:
                    mcs.parse_packet(tag, message)
            assert len(reader._buffer) <= MAX_FRAME + 6
    except NotMcs:
        pass


@given(st.binary(max_size=200))
def test_fields_end_or_are_refused(data: bytes) -> None:
    try:
        found = list(protobuf.fields(data))
    except protobuf.NotProtobuf:
        return
    assert all(number > 0 for number, _ in found)


@given(st.integers(0, 2**64 - 1))
def test_varints_go_there_and_back(value: int) -> None:
    written = protobuf.varint(value)
    assert protobuf.read_varint(written, 0) == (value, len(written))
    assert protobuf.read_varint(written[:-1], 0) is None
    assert list(protobuf.fields(protobuf.fixed64_field(7, value))) == [(7, value)]
