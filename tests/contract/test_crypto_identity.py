"""Signed user tokens: only the project's own server can say who somebody is, and only for a day."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.crypto import base64url
from clarion.crypto.identity import IdentityError, check_identity_secret, load_identity_key, verify_user_token

NOW = 1_790_000_000_000
NOW_S = NOW // 1000
DAY_S = 86_400
SECRET = b"an identity secret of thirty-two bytes"
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


PEM = pem(KEY)


def token(claims: Any = None, key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    claims = {"sub": "u1", "exp": NOW_S + 600} if claims is None else claims
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm, headers=headers or None)


def refused(text: str, *, es256: bool = False) -> str:
    keys: dict[str, Any] = {"es256_public_pem": PEM} if es256 else {"hs256_secret": SECRET}
    with pytest.raises(IdentityError, match=r"user token: .+") as caught:
        verify_user_token(text, now_ms=NOW, **keys)
    return caught.value.reason


def test_a_good_token_names_the_user_with_either_algorithm():
    assert verify_user_token(token(), hs256_secret=SECRET, now_ms=NOW) == "u1"
    assert verify_user_token(token(key=KEY, algorithm="ES256"), es256_public_pem=PEM, now_ms=NOW) == "u1"


def test_claims_beside_ours_do_not_matter():
    claims = {"sub": "ü 1", "exp": NOW_S + 600, "aud": "elsewhere", "iss": "them", "iat": "soon", "jti": 7}
    assert verify_user_token(token(claims), hs256_secret=SECRET, now_ms=NOW) == "ü 1"


def test_the_key_decides_the_algorithm_and_never_the_header():
    body = {"sub": "u1", "exp": NOW_S + 600}
    pieces = [base64url.encode(json.dumps(part).encode()) for part in ({"alg": "none"}, body)]
    assert refused(".".join([*pieces, ""])) == "algorithm"
    assert refused(".".join([*pieces, ""]), es256=True) == "algorithm"
    assert refused(token(key=KEY, algorithm="ES256")) == "algorithm"
    assert refused(token(), es256=True) == "algorithm"
    assert refused(token(algorithm="HS512", key=SECRET * 2)) == "algorithm"


def test_a_public_key_is_never_taken_for_a_shared_secret():
    header, claims = (base64url.encode(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"sub": "admin"}))
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{header}.{claims}".encode(), PEM.encode()
    )
    forged = f"{header}.{claims}.{base64url.encode(mac)}"
    assert refused(forged, es256=True) == "algorithm"
    with pytest.raises(ValueError, match="cannot be used with HS256") as caught:
        verify_user_token(forged, hs256_secret=PEM.encode(), now_ms=NOW)
    assert not isinstance(caught.value, IdentityError)


def test_another_key_is_refused():
    assert refused(token(key=b"x" * 32)) == "signature"
    other = ec.generate_private_key(ec.SECP256R1())
    assert refused(token(key=other, algorithm="ES256"), es256=True) == "signature"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"sub": "u1"}, "expiry"),
        ({"sub": "u1", "exp": None}, "expiry"),
        ({"sub": "u1", "exp": "1790000600"}, "expiry"),
        ({"sub": "u1", "exp": True}, "expiry"),
        ({"sub": "u1", "exp": NOW_S}, "expired"),
        ({"sub": "u1", "exp": float("nan")}, "expired"),
        ({"sub": "u1", "exp": NOW_S + DAY_S + 61}, "too_far"),
        ({"sub": "u1", "exp": float("inf")}, "too_far"),
        ({"sub": "u1", "exp": NOW_S + 60, "nbf": NOW_S + 61}, "not_yet"),
        ({"sub": "u1", "exp": NOW_S + 60, "nbf": "x"}, "not_yet"),
        ({"exp": NOW_S + 60}, "subject"),
        ({"sub": "", "exp": NOW_S + 60}, "subject"),
        ({"sub": 7, "exp": NOW_S + 60}, "subject"),
        ({"sub": ["u1"], "exp": NOW_S + 60}, "subject"),
        ({"sub": "u" * 256, "exp": NOW_S + 60}, "subject"),
        ([], "malformed"),
        ("u1", "malformed"),
        (None, "malformed"),
    ],
)
def test_each_wrong_claim_is_named(claims: Any, reason: str):
    signed = jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256")
    assert refused(signed) == reason


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "u" * 255, "exp": NOW_S + DAY_S},
        {"sub": "u", "exp": NOW_S + DAY_S + 60},
        {"sub": "u", "exp": NOW / 1000 + 0.001, "nbf": NOW_S + 60},
    ],
)
def test_the_limits_themselves_pass(claims: dict[str, Any]):
    assert verify_user_token(token(claims), hs256_secret=SECRET, now_ms=NOW) == claims["sub"]


def test_an_extension_that_must_be_understood_is_refused():
    assert refused(token(crit=["x"], x=1)) == "malformed"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_garbage_is_refused_and_never_crashes(text: str):
    assert refused(text) in {"malformed", "algorithm"}
    assert refused(f"{token().rsplit('.', 1)[0]}.{text}") in {"malformed", "signature"}


@given(st.integers(0, 10_000), st.characters())
def test_a_changed_token_is_refused(place: int, character: str):
    good = token()
    place %= len(good)
    forged = good[:place] + character + good[place + 1 :]
    if forged != good:
        assert refused(forged) in {"malformed", "algorithm", "signature"}


def test_keys_that_cannot_be_used_are_told_apart_from_bad_tokens():
    for keys in ({}, {"hs256_secret": SECRET, "es256_public_pem": PEM}):
        with pytest.raises(ValueError, match="one of them"):
            verify_user_token(token(), now_ms=NOW, **keys)
    with pytest.raises(ValueError, match="32 bytes or more"):
        check_identity_secret(b"short")
    with pytest.raises(ValueError, match="32 bytes or more"):
        verify_user_token(token(), now_ms=NOW, hs256_secret=b"")
    for text in ("", "-----BEGIN PUBLIC KEY-----", "\ud800", SECRET.decode()):
        with pytest.raises(ValueError, match="PEM"):
            load_identity_key(text)
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(ValueError, match="P-256"):
            load_identity_key(pem(key))
