"""Texts of ours that come back from outside: nothing forged, cut, moved or expired passes; a rotation kills none."""

import hmac
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.crypto import base64url
from clarion.crypto.derivation import derive_keys
from clarion.crypto.endpoints import Endpoint, EndpointTokens, vapid_hash
from clarion.crypto.hmac_sha256 import hmac_sha256, hmac_sha256_under
from clarion.crypto.identity import AnonymousClaim, AnonymousTokens
from clarion.crypto.keys import key_hash, looks_like_key, new_key
from clarion.crypto.receipts import ReceiptClaim, ReceiptExpired, ReceiptForged, ReceiptTokens
from clarion.crypto.sealing import SealBroken, Sealer
from clarion.crypto.signing import Signer
from clarion.crypto.unsubscribe import UnsubscribeClaim, UnsubscribeExpired, UnsubscribeForged, UnsubscribeTokens

OLD, NEW, FOREIGN = (
    b"old secret of 32 bytes, or so....",
    b"new secret of 32 bytes, or so....",
    b"a secret of somebody else",
)
BEFORE, AFTER, STRANGER = Signer([OLD]), Signer([NEW, OLD]), Signer([FOREIGN])
NOW = 1_790_000_000_000
UAID, CHID = bytes(range(16)), bytes(range(16, 32))
VAPID_PUBLIC = b"\x04" + bytes(range(64))

keys64 = st.integers(0, 2**64 - 1)
keys32 = st.integers(0, 2**32 - 1)


def changed(token: str, place: int, replacement: str) -> str:
    place %= len(token)
    return token[:place] + replacement + token[place + 1 :]


# Signing


@given(st.binary(max_size=200))
def test_a_signed_payload_comes_back(payload: bytes):
    assert AFTER.verify("receipt", AFTER.sign("receipt", payload)) == payload
    assert AFTER.signer_for("receipt")(payload) == AFTER.sign("receipt", payload)


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=80))
def test_a_signature_is_the_hmac_of_its_payload(payload: bytes, secret: bytes):
    key = hmac.digest(derive_keys([secret], "sign")[0], b"receipt", "sha256")
    expected = payload + hmac.digest(key, payload, "sha256")[:16]
    assert Signer([secret]).sign("receipt", payload) == base64url.encode(expected)


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_our_hmac_is_that_of_the_standard_library(key: bytes, message: bytes):
    assert hmac_sha256(key, message) == hmac_sha256_under(key)(message) == hmac.digest(key, message, "sha256")


def test_the_first_secret_signs_and_all_verify():
    old, new = BEFORE.sign("receipt", b"x"), AFTER.sign("receipt", b"x")
    assert old != new
    assert AFTER.verify("receipt", old) == AFTER.verify("receipt", new) == b"x"
    assert BEFORE.verify("receipt", new) is None
    assert Signer([NEW]).verify("receipt", old) is None


def test_a_token_is_bound_to_its_purpose():
    assert AFTER.verify("unsubscribe", AFTER.sign("receipt", b"x")) is None


@given(st.binary(max_size=60), st.integers(0, 200), st.characters())
def test_no_character_of_a_token_can_be_changed(payload: bytes, place: int, character: str):
    token = AFTER.sign("receipt", payload)
    forged = changed(token, place, character)
    assert AFTER.verify("receipt", forged) == (payload if forged == token else None)


@given(st.binary(max_size=60), st.integers(1, 100))
def test_a_cut_or_lengthened_token_is_refused(payload: bytes, count: int):
    token = AFTER.sign("receipt", payload)
    for other in (token[:-count], token[count:], token + "A" * count, token + "=" * count, " " + token):
        assert AFTER.verify("receipt", other) is None


@given(st.text(alphabet=st.characters(), max_size=100))
def test_garbage_never_raises(text: str):
    assert AFTER.verify("receipt", text) is None
    assert AFTER.verify("receipt", text + "\ud800") is None


@pytest.mark.parametrize("make", [Signer, Sealer, EndpointTokens])
def test_a_missing_or_short_secret_is_told_at_start(make: Callable[[list[bytes]], object]):
    with pytest.raises(ValueError, match="at least one"):
        make([])
    with pytest.raises(ValueError, match="secret key 2: 16 bytes or more"):
        make([NEW, b"short"])


# Receipts


@given(keys32, keys64, keys64, keys64, st.integers(NOW + 1, NOW + 10**12))
def test_a_receipt_tells_what_was_put_in(project: int, notification: int, user: int, device: int, expires_at: int):
    tokens = ReceiptTokens(AFTER)
    token = tokens.make(project, notification, user, device, expires_at)
    claim = tokens.read(token, NOW)
    assert claim == ReceiptClaim(project, notification, user, device, claim.expires_at)
    assert expires_at <= claim.expires_at < expires_at + 1000
    assert tokens.for_notification(project, notification, expires_at)(user, device) == token
    assert len(token) == 64


def test_a_receipt_ends_on_time():
    tokens = ReceiptTokens(AFTER)
    token = tokens.make(1, 2, 3, 4, NOW)
    assert tokens.read(token, NOW - 1).device == 4
    with pytest.raises(ReceiptExpired):
        tokens.read(token, NOW)


def test_a_receipt_of_before_the_rotation_is_read():
    assert ReceiptTokens(AFTER).read(ReceiptTokens(BEFORE).make(1, 2, 3, 4, NOW + 1), NOW).user == 3


def test_foreign_receipts_are_forged_even_when_expired():
    tokens = ReceiptTokens(AFTER)
    for token in (
        "",
        "garbage",
        ReceiptTokens(STRANGER).make(1, 2, 3, 4, NOW - 1),
        AFTER.sign("receipt", b"too short"),
        AFTER.sign("unsubscribe", bytes(32)),
        UnsubscribeTokens(AFTER).make(1, 2, "a name of 16 b.."),
    ):
        with pytest.raises(ReceiptForged):
            tokens.read(token, NOW)


@given(st.integers(0, 63), st.characters())
def test_a_changed_receipt_is_forged(place: int, character: str):
    tokens = ReceiptTokens(AFTER)
    token = tokens.make(1, 2, 3, 4, NOW + 1000)
    forged = changed(token, place, character)
    if forged != token:
        with pytest.raises(ReceiptForged):
            tokens.read(forged, NOW)


@pytest.mark.parametrize(
    "numbers", [(-1, 2, 3, 4), (2**32, 2, 3, 4), (1, 2**64, 3, 4), (1, 2, -3, 4), (1, 2, 3, 2**64)]
)
def test_a_number_that_does_not_fit_is_refused(numbers: tuple[int, int, int, int]):
    with pytest.raises(ValueError, match="receipt:"):
        ReceiptTokens(AFTER).make(*numbers, NOW)


# Unsubscribe links and anonymous users


@given(keys32, keys64, st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_an_unsubscribe_link_tells_what_was_put_in(project: int, user: int, category: str):
    tokens = UnsubscribeTokens(AFTER)
    token = tokens.make(project, user, category)
    assert tokens.read(token, 2**60) == UnsubscribeClaim(project, user, category)


def test_an_unsubscribe_link_ends_when_it_was_given_an_end():
    tokens = UnsubscribeTokens(AFTER)
    token = tokens.make(1, 2, "offers", NOW)
    assert tokens.read(token, NOW - 1).category == "offers"
    with pytest.raises(UnsubscribeExpired):
        tokens.read(token, NOW)


def test_foreign_unsubscribe_links_are_forged():
    for token in (
        "",
        "x",
        UnsubscribeTokens(STRANGER).make(1, 2, "offers"),
        ReceiptTokens(AFTER).make(1, 2, 3, 4, NOW),
    ):
        with pytest.raises(UnsubscribeForged):
            UnsubscribeTokens(AFTER).read(token, NOW)
    with pytest.raises(ValueError, match="unsubscribe:"):
        UnsubscribeTokens(AFTER).make(-1, 2, "offers")


@given(keys32, keys64)
def test_an_anonymous_user_is_known_by_its_secret(project: int, user: int):
    assert AnonymousTokens(AFTER).read(AnonymousTokens(BEFORE).make(project, user)) == AnonymousClaim(project, user)


def test_a_foreign_anonymous_secret_is_refused():
    assert AnonymousTokens(AFTER).read(AnonymousTokens(STRANGER).make(1, 2)) is None
    assert AnonymousTokens(AFTER).read(ReceiptTokens(AFTER).make(1, 2, 3, 4, NOW)) is None
    with pytest.raises(ValueError, match="anonymous"):
        AnonymousTokens(AFTER).make(1, -2)


# Sealing


@given(st.binary(max_size=500), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_was_sealed_is_opened_after_a_rotation_too(plaintext: bytes, context: str):
    blob = Sealer([OLD]).seal(plaintext, context)
    assert Sealer([NEW, OLD]).open(blob, context) == plaintext
    assert len(plaintext) < 4 or plaintext not in blob


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_or_cut_blob_stays_shut(place: int, flip: int):
    sealer = Sealer([NEW, OLD])
    blob = bytearray(sealer.seal(b"a private key", "credential/1"))
    place %= len(blob)
    cut = bytes(blob[:place])
    blob[place] ^= flip
    for broken in (bytes(blob), cut):
        with pytest.raises(SealBroken):
            sealer.open(broken, "credential/1")


def test_a_blob_cannot_be_moved_to_another_record_or_installation():
    blob = Sealer([NEW]).seal(b"a private key", "credential/1")
    for sealer, context in ((Sealer([NEW]), "credential/2"), (Sealer([OLD]), "credential/1")):
        with pytest.raises(SealBroken, match=r"credential/.*CLARION_SECRET_KEY"):
            sealer.open(blob, context)
    assert blob != Sealer([NEW]).seal(b"a private key", "credential/1"), "each sealing has its own nonce"


# Endpoints


def test_an_endpoint_names_device_channel_and_key():
    tokens = EndpointTokens([NEW, OLD])
    assert tokens.read("v1", tokens.make_v1(UAID, CHID)) == Endpoint(UAID, CHID, None)
    assert tokens.read("v2", tokens.make_v2(UAID, CHID, VAPID_PUBLIC)) == Endpoint(UAID, CHID, vapid_hash(VAPID_PUBLIC))


def test_an_endpoint_is_stable_and_survives_a_rotation():
    before, after = EndpointTokens([OLD]), EndpointTokens([NEW, OLD])
    assert before.make_v1(UAID, CHID) == EndpointTokens([OLD]).make_v1(UAID, CHID)
    assert after.read("v1", before.make_v1(UAID, CHID)) == Endpoint(UAID, CHID, None)
    assert before.read("v1", after.make_v1(UAID, CHID)) is None


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_an_endpoint_shows_neither_device_nor_channel(uaid: bytes, chid: bytes):
    tokens = EndpointTokens([NEW])
    one, other = base64url.decode(tokens.make_v1(uaid, CHID)), base64url.decode(tokens.make_v1(uaid, chid))
    assert uaid not in one
    assert CHID not in one
    if chid != CHID:
        assert one[16:32] != other[16:32], "two channels of one device must not be seen to be of one device"


@given(st.integers(0, 200), st.characters())
def test_a_forged_endpoint_is_refused(place: int, character: str):
    tokens = EndpointTokens([NEW, OLD])
    for version, token in (("v1", tokens.make_v1(UAID, CHID)), ("v2", tokens.make_v2(UAID, CHID, VAPID_PUBLIC))):
        forged = changed(token, place, character)
        assert forged == token or tokens.read(version, forged) is None
        assert tokens.read(version, token[: place % len(token)]) is None


def test_a_token_of_one_version_is_none_of_another():
    tokens = EndpointTokens([NEW])
    v1, v2 = tokens.make_v1(UAID, CHID), tokens.make_v2(UAID, CHID, VAPID_PUBLIC)
    assert tokens.read("v2", v1) is tokens.read("v1", v2) is tokens.read("v3", v1) is tokens.read("", "") is None
    assert EndpointTokens([FOREIGN]).read("v1", v1) is None
    assert max(len(v1), len(v2)) == 107
    with pytest.raises(ValueError, match="16 bytes"):
        tokens.make_v1(UAID, b"short")


# API keys


def test_keys_have_256_bits_and_a_shape():
    for kind in ("sk", "pk"):
        keys = {new_key(kind) for _ in range(50)}
        assert len(keys) == 50
        assert all(looks_like_key(key) and key.startswith(kind + "_") and len(key) == 46 for key in keys)
        assert all(len(base64url.decode(key[3:])) == 32 for key in keys)


@pytest.mark.parametrize("text", ["", "sk_", "sk_" + "a" * 42, "sk_" + "a" * 44, "xx_" + "a" * 43, "sk_" + "ä" * 43])
def test_what_is_no_key_is_seen(text: str):
    assert not looks_like_key(text)
    assert not looks_like_key("sk_" + "a" * 43 + "\n")


@given(st.text(st.characters(), max_size=60))
def test_a_key_has_one_hash(text: str):
    assert key_hash(text) == key_hash(text)
    assert len(key_hash(text)) == 32
    assert key_hash(text) != key_hash(text + "x")


# Formats


def test_what_an_earlier_release_handed_out_is_still_read():
    """Tokens live in links, payloads and browsers for months: a change of format or key derivation kills them all."""
    secrets = [bytes(range(32))]
    signer, endpoints = Signer(secrets), EndpointTokens(secrets)
    receipt = "AAAAAQAAAAAAAAACarE7gAAAAAAAAAADAAAAAAAAAAQtel3uGOCEm9DRUBMzw1qk"
    assert ReceiptTokens(signer).read(receipt, NOW - 1) == ReceiptClaim(1, 2, 3, 4, NOW)
    link = "AAAAAQAAAAAAAAACAAAAAG9mZmVyc2hcMxEbsh6S-dBcUTnvFnM"
    assert UnsubscribeTokens(signer).read(link, NOW) == UnsubscribeClaim(1, 2, "offers")
    anonymous = "AAAAAQAAAAAAAAACM4F2kM4KHSOVlZD6AV9kUQ"
    assert AnonymousTokens(signer).read(anonymous) == AnonymousClaim(1, 2)
    v1 = "yGzqPLxSuj6fcRYNSMlNvYQ-l8fYE-ZLpLAMc9KbbVE534iYCmGz1pIJlRDPrBSx"
    v2 = "FdNILQJBuX3goh2H_8MsN2SdOMv-NMb6cmkFM_1nqeEjAYW9ZU-5-CwVmnobrxai-Xiv8QcsszLyPhrx1NHsn_17SrYUjEVTZsJgb5kfbog"
    assert endpoints.read("v1", v1) == Endpoint(UAID, CHID, None)
    assert endpoints.read("v2", v2) == Endpoint(UAID, CHID, vapid_hash(VAPID_PUBLIC))
    blob = bytes.fromhex("0100000000000000000000000049f912fd53b5ea7b9c4caa40ef962ce25a74e33c30c3004c2abe75d5e1")
    assert Sealer(secrets).open(blob, "credential/1") == b"a private key"
