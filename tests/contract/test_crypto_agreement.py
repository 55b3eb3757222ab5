"""Agreements on P-256: libcrypto called by us says what `cryptography` says, in every thread, and refuses the same."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.crypto import agreement, p256
from clarion.crypto.agreement import Agree, Libcrypto, agree_by_libcrypto, agree_by_library
from clarion.crypto.webpush import BadSubscription, encrypt


def libcrypto() -> Agree:
    return agree_by_libcrypto(Libcrypto())


@pytest.fixture(params=["libcrypto", "cryptography"])
def agree(request: pytest.FixtureRequest) -> Agree:
    return libcrypto() if request.param == "libcrypto" else agree_by_library


def secret_at(receiver: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    return receiver.exchange(p256.ECDH, p256.load_public(point))


def test_both_sides_have_one_secret_and_every_message_a_key_of_its_own(agree: Agree):
    receiver = ec.generate_private_key(p256.CURVE)
    agreed = [agree(p256.point_of(receiver)) for _ in range(50)]
    assert all(secret_at(receiver, point) == secret for point, secret in agreed)
    assert len({point for point, _ in agreed}) == len({secret for _, secret in agreed}) == 50


def test_threads_do_not_write_into_one_another(agree: Agree):
    receivers = [ec.generate_private_key(p256.CURVE) for _ in range(8)]

    def many(receiver: ec.EllipticCurvePrivateKey) -> bool:
        agreed = [agree(p256.point_of(receiver)) for _ in range(200)]
        return all(secret_at(receiver, point) == secret for point, secret in agreed)

    with ThreadPoolExecutor(len(receivers)) as threads:
        assert all(threads.map(many, receivers))


def bad_points() -> dict[str, bytes]:
    key = ec.generate_private_key(p256.CURVE)
    good = p256.point_of(key)
    return {
        "off the curve": good[:-1] + bytes([good[-1] ^ 1]),
        "coordinates past the field": b"\x04" + b"\xff" * 64,
        "the origin, which is not infinity": b"\x04" + bytes(64),
        "infinity": b"\x00",
        "infinity, drawn out": bytes(65),
        "compressed": key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        "hybrid": bytes([6 + (good[-1] & 1)]) + good[1:],
        "too short": good[:-1],
        "too long": good + b"\x00",
        "empty": b"",
    }


@pytest.mark.parametrize("name", bad_points())
def test_a_point_that_is_none_is_refused(agree: Agree, name: str):
    with pytest.raises(ValueError, match="P-256"):
        agree(bad_points()[name])
    receiver = ec.generate_private_key(p256.CURVE)
    point, secret = agree(p256.point_of(receiver))  # and the next one is not the worse for it
    assert secret_at(receiver, point) == secret


def test_a_refusal_leaves_no_error_behind_for_the_next_tls_call():
    library = ctypes.PyDLL(agreement._extension())
    library.ERR_clear_error()
    library.ERR_peek_error.restype = ctypes.c_ulong
    with pytest.raises(ValueError, match="not on the curve"):
        libcrypto()(bad_points()["off the curve"])
    assert library.ERR_peek_error() == 0


def test_where_python_hides_its_libcrypto_the_library_does_it(monkeypatch: pytest.MonkeyPatch):
    def none() -> str:
        raise OSError("the interpreter holds its libcrypto in itself")

    assert agreement.quickest() is not agree_by_library
    monkeypatch.setattr(agreement, "_extension", none)
    assert agreement.quickest() is agree_by_library


def test_a_libcrypto_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch):
    def wrong(point: bytes) -> tuple[bytes, bytes]:
        return agree_by_library(point)[0], bytes(32)

    monkeypatch.setattr(agreement, "agree_by_libcrypto", lambda _: wrong)
    assert agreement.quickest() is agree_by_library


def test_a_message_for_a_bad_subscription_names_the_field():
    with pytest.raises(BadSubscription, match="p256dh"):
        encrypt(b"x", bad_points()["off the curve"], bytes(16))
