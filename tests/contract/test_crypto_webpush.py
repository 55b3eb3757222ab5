"""RFC 8291, against its own example and against the libraries that others use."""

import pickle

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from pywebpush import WebPusher

from clarion.crypto import base64url, p256, webpush
from clarion.crypto.webpush import MAX_PLAINTEXT, BadSubscription, CannotDecrypt, PayloadTooLarge, Receiver

RFC8291_APPENDIX_A = {
    "plaintext": b"When I grow up, I want to be a watermelon",
    "as_private": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
    "ua_private": "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
    "ua_public": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    "salt": "DGv6ra1nlYgDCS1FRnbzlw",
    "body": (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    ),
}
RECEIVER = Receiver.generate()
PAYLOADS = st.one_of(st.binary(max_size=MAX_PLAINTEXT), st.sampled_from([b"", b"\x00", bytes(MAX_PLAINTEXT)]))


def example(name: str) -> bytes:
    value = RFC8291_APPENDIX_A[name]
    return value if isinstance(value, bytes) else base64url.decode(value)


def test_the_example_of_the_specification_comes_out_to_the_byte():
    body = webpush.encrypt(
        example("plaintext"),
        *webpush.parse_keys(RFC8291_APPENDIX_A["ua_public"], RFC8291_APPENDIX_A["auth"]),
        ephemeral=example("as_private"),
        salt=example("salt"),
    )
    assert base64url.encode(body) == RFC8291_APPENDIX_A["body"]
    assert webpush.decrypt(example("body"), example("ua_private"), example("auth")) == example("plaintext")
    receiver = Receiver.of(example("ua_private"), example("auth"))
    assert receiver.keys()["p256dh"] == RFC8291_APPENDIX_A["ua_public"]


@settings(deadline=None, max_examples=60)
@given(PAYLOADS)
def test_http_ece_reads_what_we_write_and_we_read_what_it_writes(payload: bytes):
    own = p256.load_private(RECEIVER.private)
    body = webpush.encrypt(payload, RECEIVER.p256dh, RECEIVER.auth)
    assert len(body) == webpush.sealed_size(len(payload)) <= 4096
    assert http_ece.decrypt(body, private_key=own, auth_secret=RECEIVER.auth, version="aes128gcm") == payload
    if payload:  # http_ece writes no record at all for an empty payload
        theirs = http_ece.encrypt(
            payload,
            private_key=ec.generate_private_key(p256.CURVE),
            dh=RECEIVER.p256dh,
            auth_secret=RECEIVER.auth,
            version="aes128gcm",
        )
        assert RECEIVER.decrypt(theirs) == payload


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=1, max_size=MAX_PLAINTEXT))
def test_we_read_what_pywebpush_writes(payload: bytes):
    pusher = WebPusher({"endpoint": "https://push.example/x", "keys": RECEIVER.keys()})
    assert RECEIVER.decrypt(pusher.encode(payload)["body"]) == payload


@pytest.mark.parametrize("size", [0, 1, MAX_PLAINTEXT])
def test_the_smallest_and_the_largest_payload_come_back(size: int):
    body = webpush.encrypt(bytes(size), RECEIVER.p256dh, RECEIVER.auth)
    assert RECEIVER.decrypt(body) == bytes(size)
    assert len(body) == size + 103


def test_one_byte_more_is_refused_with_the_limit():
    with pytest.raises(PayloadTooLarge, match="3993"):
        webpush.encrypt(bytes(MAX_PLAINTEXT + 1), RECEIVER.p256dh, RECEIVER.auth)


def test_every_message_has_its_own_salt_and_sender_key():
    one, other = (webpush.encrypt(b"same", RECEIVER.p256dh, RECEIVER.auth) for _ in range(2))
    assert one[:16] != other[:16]
    assert one[21:86] != other[21:86]


def test_padding_that_a_sender_added_is_taken_off():
    # http_ece never pads, so its key derivation makes the key and the padded record is sealed here.
    sender, salt = ec.generate_private_key(p256.CURVE), bytes(range(16))
    key, nonce = http_ece.derive_key(
        "encrypt", "aes128gcm", salt, None, sender, RECEIVER.p256dh, RECEIVER.auth, None, "P-256"
    )
    header = salt + (4096).to_bytes(4, "big") + b"\x41" + p256.point_of(sender)

    def body(padded: bytes) -> bytes:
        return header + AESGCM(key).encrypt(nonce, padded, None)

    assert RECEIVER.decrypt(body(b"hi\x02\x00\x00")) == b"hi"
    for not_last in (b"hi\x01", b"\x00\x00\x00", b"hi"):
        with pytest.raises(CannotDecrypt, match="last record"):
            RECEIVER.decrypt(body(not_last))


def test_more_than_one_record_is_refused():
    many = http_ece.encrypt(
        bytes(200),
        private_key=ec.generate_private_key(p256.CURVE),
        dh=RECEIVER.p256dh,
        auth_secret=RECEIVER.auth,
        rs=100,
        version="aes128gcm",
    )
    with pytest.raises(CannotDecrypt, match="single record"):
        RECEIVER.decrypt(many)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_body_is_refused(place: int, flip: int):
    body = bytearray(webpush.encrypt(b"a payload", RECEIVER.p256dh, RECEIVER.auth))
    place %= len(body)
    body[place] ^= flip
    if 16 <= place < 20 and int.from_bytes(body[16:20], "big") >= len(body) - 86:
        assert RECEIVER.decrypt(bytes(body)) == b"a payload"  # the record size is a bound and not authenticated
    else:
        with pytest.raises(CannotDecrypt):
            RECEIVER.decrypt(bytes(body))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused(body: bytes):
    with pytest.raises(CannotDecrypt):
        RECEIVER.decrypt(body)


def test_another_receiver_cannot_read_it():
    body = webpush.encrypt(b"secret", RECEIVER.p256dh, RECEIVER.auth)
    with pytest.raises(CannotDecrypt):
        Receiver.generate().decrypt(body)
    with pytest.raises(CannotDecrypt):
        webpush.decrypt(body, RECEIVER.private, bytes(16))


def spellings(text: str) -> list[str]:
    padded = text + "=" * (-len(text) % 4)
    return [text, padded, padded.translate(str.maketrans("-_", "+/")), text.translate(str.maketrans("-_", "+/"))]


def test_keys_may_be_spelled_in_every_base64():
    keys = RECEIVER.keys()
    for p256dh, auth in zip(spellings(keys["p256dh"]), spellings(keys["auth"]), strict=True):
        assert webpush.parse_keys(p256dh, auth) == (RECEIVER.p256dh, RECEIVER.auth)
    assert webpush.parse_keys(RECEIVER.p256dh, RECEIVER.auth) == (RECEIVER.p256dh, RECEIVER.auth)


OFF_CURVE = b"\x04" + bytes(63) + b"\x01"
COMPRESSED = b"\x02" + RECEIVER.p256dh[1:33]
GOOD = RECEIVER.keys()
BAD_KEYS = [
    ("", GOOD["auth"], "p256dh", "65 bytes"),
    ("not base64!", GOOD["auth"], "p256dh", "base64url"),
    ("Ünicode", GOOD["auth"], "p256dh", "base64url"),
    (GOOD["p256dh"] + "\n", GOOD["auth"], "p256dh", "base64url"),
    (GOOD["p256dh"][:-4], GOOD["auth"], "p256dh", "not 62"),
    (base64url.encode(COMPRESSED), GOOD["auth"], "p256dh", "not 33"),
    (base64url.encode(b"\x05" + RECEIVER.p256dh[1:]), GOOD["auth"], "p256dh", "uncompressed"),
    (base64url.encode(OFF_CURVE), GOOD["auth"], "p256dh", "curve"),
    (GOOD["p256dh"], "", "auth", "16 bytes"),
    (GOOD["p256dh"], "????", "auth", "base64url"),
    (GOOD["p256dh"], base64url.encode(bytes(15)), "auth", "not 15"),
    (GOOD["p256dh"], base64url.encode(bytes(17)), "auth", "not 17"),
]


@pytest.mark.parametrize(
    ("p256dh", "auth", "field", "says"), BAD_KEYS, ids=[f"{field}: {says}" for *_, field, says in BAD_KEYS]
)
def test_a_bad_key_is_named(p256dh: str, auth: str, field: str, says: str):
    with pytest.raises(BadSubscription, match=says) as caught:
        webpush.parse_keys(p256dh, auth)
    assert caught.value.field == field
    assert str(caught.value).startswith(field)


def test_bad_raw_keys_are_refused_when_encrypting_too():
    for p256dh in (b"", OFF_CURVE, COMPRESSED):
        with pytest.raises(BadSubscription, match="p256dh"):
            webpush.encrypt(b"x", p256dh, RECEIVER.auth)
    with pytest.raises(BadSubscription, match="auth"):
        webpush.encrypt(b"x", RECEIVER.p256dh, b"short")


def test_one_bad_key_does_not_spoil_a_batch():
    keys = RECEIVER.keys()
    results = webpush.encrypt_many(
        [
            (b"one", keys["p256dh"], keys["auth"]),
            (b"two", base64url.encode(OFF_CURVE), keys["auth"]),
            (b"three", RECEIVER.p256dh, RECEIVER.auth),
            (bytes(5000), RECEIVER.p256dh, RECEIVER.auth),
            (b"five", "%%%", keys["auth"]),
        ]
    )
    one, two, three, four, five = pickle.loads(pickle.dumps(results))  # noqa: S301 - as a process pool hands them back
    assert RECEIVER.decrypt(one) == b"one"
    assert isinstance(two, BadSubscription)
    assert (two.field, str(two)) == ("p256dh", "p256dh: the point is not on the curve P-256")
    assert RECEIVER.decrypt(three) == b"three"
    assert isinstance(four, PayloadTooLarge)
    assert isinstance(five, BadSubscription)
    assert webpush.encrypt_many([]) == []


def test_no_secret_shows_in_a_representation():
    shown = repr(RECEIVER) + repr(p256.KeyPair.generate())
    assert repr(RECEIVER.private) not in shown
    assert "private=" not in shown
    assert "auth=" not in shown


def test_private_keys_out_of_range_are_refused():
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for raw in (b"", bytes(31), bytes(32), order.to_bytes(32, "big"), bytes([255] * 32)):
        with pytest.raises(ValueError, match=r"private|curve|key|range|value|Invalid"):
            p256.KeyPair.of(raw)
