"""RFC 8292 from both ends: what we sign satisfies others, what others sign is checked to the last claim."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from py_vapid import Vapid01, Vapid02

from clarion.crypto import base64url, p256
from clarion.crypto.vapid import LIFETIME_MS, Vapid, VapidError, VapidVerifier, origin_of

NOW = 1_790_000_000_000
HOUR = 3_600_000
DAY_S = 86_400
ORIGIN = "https://push.example"
PAIR = p256.KeyPair.generate()
OTHER = p256.KeyPair.generate()
SUBJECT = "mailto:team@shop.example"


def token(headers: dict[str, Any] | None = None, pair: p256.KeyPair = PAIR, **claims: Any) -> str:
    body = {"aud": ORIGIN, "exp": NOW // 1000 + 3600, "sub": SUBJECT} | claims
    return jwt.encode(body, p256.load_private(pair.private), "ES256", headers=headers)


def header(jwt_text: str, key: str = PAIR.public_text) -> str:
    return f"vapid t={jwt_text}, k={key}"


def refused(authorization: str | None, crypto_key: str | None = None, now: int = NOW) -> str:
    with pytest.raises(VapidError) as caught:
        VapidVerifier(ORIGIN).verify(authorization, crypto_key, now)
    assert str(caught.value)
    return caught.value.reason


# What we sign


def test_pyjwt_and_py_vapid_accept_what_we_sign():
    made = Vapid().authorization(ORIGIN, PAIR.private, NOW, SUBJECT)
    scheme, _, rest = made.partition(" ")
    parameters = dict(part.split("=", 1) for part in rest.split(","))
    claims = jwt.decode(
        parameters["t"],
        p256.load_public(PAIR.public),
        algorithms=["ES256"],
        audience=ORIGIN,
        options={"verify_exp": False},
    )
    assert scheme == "vapid"
    assert claims == {"aud": ORIGIN, "exp": NOW // 1000 + 12 * 3600, "sub": SUBJECT}
    assert base64.urlsafe_b64decode(parameters["k"] + "=") == PAIR.public
    assert jwt.get_unverified_header(parameters["t"]) == {"typ": "JWT", "alg": "ES256"}
    assert Vapid02.verify(made)


def test_a_token_is_used_for_half_its_life():
    vapid = Vapid()

    def at(ms: int) -> str:
        return vapid.authorization(ORIGIN, PAIR.private, ms, SUBJECT)

    first = at(NOW)
    assert at(NOW + LIFETIME_MS // 2 - 1) == first
    second = at(NOW + LIFETIME_MS // 2)
    assert second != first
    assert at(NOW + LIFETIME_MS // 2 + HOUR) == second
    assert at(NOW) != second, "a clock set back must not give a token that ends over twelve hours ahead"


def test_each_origin_key_and_subject_has_its_own_token():
    vapid = Vapid()
    made = {
        vapid.authorization(ORIGIN, PAIR.private, NOW, SUBJECT),
        vapid.authorization("https://other.example", PAIR.private, NOW, SUBJECT),
        vapid.authorization(ORIGIN, OTHER.private, NOW, SUBJECT),
        vapid.authorization(ORIGIN, PAIR.private, NOW, "https://shop.example/contact"),
    }
    assert len(made) == 4


def test_the_cache_is_bounded_and_forgets_the_oldest():
    vapid = Vapid(capacity=2)
    first, second = (vapid.authorization(f"https://{n}.example", PAIR.private, NOW, SUBJECT) for n in "ab")
    vapid.authorization("https://c.example", PAIR.private, NOW, SUBJECT)
    assert vapid.authorization("https://b.example", PAIR.private, NOW, SUBJECT) == second
    assert vapid.authorization("https://a.example", PAIR.private, NOW, SUBJECT) != first
    with pytest.raises(ValueError, match="capacity"):
        Vapid(capacity=0)


@pytest.mark.parametrize("subject", ["", "team@shop.example", "http://shop.example"])
def test_a_subject_that_apple_refuses_is_refused_here(subject: str):
    with pytest.raises(ValueError, match="mailto: or https:"):
        Vapid().authorization(ORIGIN, PAIR.private, NOW, subject)


@pytest.mark.parametrize("private", [b"", bytes(32), bytes(31), b"\xff" * 32])
def test_a_private_key_that_is_none_is_refused(private: bytes):
    with pytest.raises(ValueError, match=r".+"):
        Vapid().authorization(ORIGIN, private, NOW, SUBJECT)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/a:b?c#d", "https://fcm.googleapis.com"),
        ("HTTPS://Push.Example:443/x", "https://push.example"),
        ("https://push.example:8443/x", "https://push.example:8443"),
        ("http://127.0.0.1:8700/wpush/v1/x", "http://127.0.0.1:8700"),
        ("http://push.example:80", "http://push.example"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
def test_the_origin_of_an_endpoint(url: str, origin: str):
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["", "push.example", "/wpush/v1/x", "ftp://push.example", "https://", "https://a:b/"])
def test_what_has_no_origin_is_refused(url: str):
    with pytest.raises(ValueError, match=r".+"):
        origin_of(url)


# What others sign for us


def test_our_own_token_passes():
    made = Vapid().authorization(ORIGIN, PAIR.private, NOW, SUBJECT)
    assert VapidVerifier(ORIGIN).verify(made, None, NOW) == PAIR.public


def test_py_vapid_passes_in_both_of_its_forms():
    claims = {"aud": ORIGIN, "exp": NOW // 1000 + DAY_S, "sub": SUBJECT}
    key = p256.load_private(PAIR.private)
    new = Vapid02(key).sign(claims)
    old = Vapid01(key).sign(claims, crypto_key="dh=BIbb")
    verifier = VapidVerifier(ORIGIN)
    assert verifier.verify(new["Authorization"], None, NOW) == PAIR.public
    assert verifier.verify(old["Authorization"], old["Crypto-Key"], NOW) == PAIR.public


PADDED_STANDARD = base64.b64encode(PAIR.public).decode()


@pytest.mark.parametrize(
    ("form", "crypto_key"),
    [
        ("vapid t={t},k={k}", None),
        ("vapid  t={t} ,  k={k}", None),
        ("VAPID k={k}, t={t}", None),
        ('vapid t="{t}", k="{k}"', None),
        ("vapid t={t}, k={padded}", None),
        ("WebPush {t}", "p256ecdsa={k}"),
        ("webpush {t}", "p256ecdsa={padded}"),
        ("Bearer {t}", "dh=BIbb;p256ecdsa={k}"),
        ("Bearer {t}", "keyid=p256dh;dh=BIbb, p256ecdsa={k}"),
    ],
)
def test_every_form_of_the_headers_is_read(form: str, crypto_key: str | None):
    values = {"t": token(), "k": PAIR.public_text, "padded": PADDED_STANDARD}
    given_key = crypto_key.format(**values) if crypto_key else None
    assert VapidVerifier(ORIGIN).verify(form.format(**values), given_key, NOW) == PAIR.public


@pytest.mark.parametrize("audience", [ORIGIN, ORIGIN + "/", "https://PUSH.example:443", ["https://x.example", ORIGIN]])
def test_the_audience_may_be_spelled_as_any_url_of_our_origin(audience: Any):
    assert VapidVerifier(ORIGIN + "/").verify(header(token(aud=audience)), None, NOW) == PAIR.public


@pytest.mark.parametrize(
    "audience",
    ["", "push.example", "https://push.example.evil", "http://push.example", "https://push.example:8443", 7, None, []],
)
def test_another_audience_is_refused(audience: Any):
    unchecked = {"aud": audience, "exp": NOW // 1000 + 60}
    signed = jwt.PyJWS().encode(json.dumps(unchecked).encode(), p256.load_private(PAIR.private), "ES256")
    assert refused(header(signed)) == "audience"


def test_the_expiry_may_be_up_to_a_day_ahead_and_no_more():
    assert VapidVerifier(ORIGIN).verify(header(token(exp=NOW // 1000 + DAY_S)), None, NOW) == PAIR.public
    assert VapidVerifier(ORIGIN).verify(header(token(exp=NOW / 1000 + 0.5)), None, NOW) == PAIR.public
    assert refused(header(token(exp=NOW // 1000 + DAY_S + 1))) == "too_far"
    assert refused(header(token(exp=1e300))) == "too_far"
    assert refused(header(token(exp=NOW // 1000))) == "expired"
    assert refused(header(token(exp=-1))) == "expired"
    assert refused(header(token(exp=float("nan")))) == "expired"


@pytest.mark.parametrize("expiry", ["1790003600", None, True, [], {}])
def test_an_expiry_that_is_no_number_is_refused(expiry: Any):
    signed = jwt.PyJWS().encode(
        json.dumps({"aud": ORIGIN, "exp": expiry}).encode(), p256.load_private(PAIR.private), "ES256"
    )
    assert refused(header(signed)) == "expiry"


def test_a_remembered_token_still_expires():
    verifier, authorization = VapidVerifier(ORIGIN), header(token(exp=NOW // 1000 + 60))
    assert verifier.verify(authorization, None, NOW) == PAIR.public
    assert verifier.verify(authorization, None, NOW + 59_999) == PAIR.public
    with pytest.raises(VapidError) as caught:
        verifier.verify(authorization, None, NOW + 60_000)
    assert caught.value.reason == "expired"


def test_a_remembered_token_does_not_vouch_for_another_key():
    verifier, signed = VapidVerifier(ORIGIN), token()
    assert verifier.verify(header(signed), None, NOW) == PAIR.public
    with pytest.raises(VapidError) as caught:
        verifier.verify(header(signed, OTHER.public_text), None, NOW)
    assert caught.value.reason == "signature"


def test_forgetting_a_token_changes_nothing_but_time():
    verifier = VapidVerifier(ORIGIN, capacity=1)
    for pair in (PAIR, OTHER, PAIR):
        assert verifier.verify(header(token(pair=pair), pair.public_text), None, NOW) == pair.public


def test_a_signature_by_another_key_is_refused():
    assert refused(header(token(pair=OTHER))) == "signature"
    signed = token()
    swapped = signed.rsplit(".", 1)[0] + "." + token(sub="mailto:x@y.example").rsplit(".", 1)[1]
    assert refused(header(swapped)) == "signature"
    assert refused(header(signed.rsplit(".", 1)[0] + "." + base64url.encode(bytes(64)))) == "signature"
    assert refused(header(signed.rsplit(".", 1)[0] + "." + base64url.encode(bytes(63)))) == "signature"


def test_only_es256_is_taken():
    parts = token().split(".")
    for algorithm in ("none", "HS256", "ES384", "RS256", ""):
        forged = base64url.encode(json.dumps({"typ": "JWT", "alg": algorithm}).encode())
        assert refused(header(".".join([forged, *parts[1:]]))) == "algorithm"
    as_secret = jwt.PyJWS().encode(b'{"aud":"https://push.example","exp":1790003600}', PAIR.public, "HS256")
    assert refused(header(as_secret)) == "algorithm"


@pytest.mark.parametrize(
    ("authorization", "crypto_key", "reason"),
    [
        (None, None, "missing"),
        ("", None, "missing"),
        ("Basic dXNlcg==", None, "malformed"),
        ("vapid", None, "malformed"),
        ("vapid k={k}", None, "malformed"),
        ("vapid t=,k={k}", None, "malformed"),
        ("WebPush", "p256ecdsa={k}", "malformed"),
        ("vapid t=a.b.c", None, "key"),
        ("WebPush a.b.c", None, "key"),
        ("Bearer a.b.c", "dh=BIbb", "key"),
        ("vapid t=a.b.c,k=!!", None, "key"),
        ("vapid t=a.b.c,k={short}", None, "key"),
        ("vapid t=a.b.c,k=" + base64url.encode(b"\x04" + bytes(64)), None, "key"),
        ("vapid t=a.b.c,k={k}", None, "malformed"),
        ("vapid t=ab,k={k}", None, "malformed"),
        ("vapid t=é.b.c,k={k}", None, "malformed"),
        ("vapid t=\ud800,k={k}", None, "malformed"),
        ("vapid t=" + "a" * 2048 + ",k={k}", None, "malformed"),
    ],
)
def test_what_is_wrong_with_the_headers_is_told(authorization: str | None, crypto_key: str | None, reason: str):
    keys = {"k": PAIR.public_text, "short": PAIR.public_text[:-4]}
    given = (text and text.format(**keys) for text in (authorization, crypto_key))
    assert refused(*given) == reason


def test_a_token_that_would_take_much_memory_to_remember_is_refused():
    assert VapidVerifier(ORIGIN).verify(header(token(sub="mailto:" + "a" * 1000)), None, NOW) == PAIR.public
    assert refused(header(token(sub="mailto:" + "a" * 2000))) == "malformed"


@pytest.mark.parametrize("claims", [b"[]", b"7", b"null", b"{", b"\xff", b"[" * 1200, b'{"exp":' + b"9" * 1000 + b"}"])
def test_signed_claims_that_are_no_object_are_refused(claims: bytes):
    signed = jwt.PyJWS().encode(claims, ec.derive_private_key(7, p256.CURVE), "ES256")
    key = p256.KeyPair.of((7).to_bytes(32, "big"))
    assert refused(header(signed, key.public_text)) in {"malformed", "audience"}


@settings(deadline=None)
@given(st.text(max_size=300), st.one_of(st.none(), st.text(max_size=100)))
def test_no_header_crashes_the_check(text: str, crypto_key: str | None):
    for authorization in (text, f"vapid {text}", f"vapid t={text},k={PAIR.public_text}", f"Bearer {text}"):
        with pytest.raises(VapidError):
            VapidVerifier(ORIGIN).verify(authorization, crypto_key, NOW)
