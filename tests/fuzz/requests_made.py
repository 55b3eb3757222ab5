"""What a sender may ask of the push endpoint, part by part, and what RFC 8030, 8188 and 8292 say of each part.

Written from the specifications and the table of errno alone: a small oracle beside the real endpoint.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from clarion.crypto.p256 import KeyPair
from clarion.ports import HttpRequest
from contract.support_gateway import ORIGIN, vapid

Verdict: TypeAlias = tuple[int, int | None]
"""Status and errno."""

NO_TOKEN, TOO_LARGE, UNAUTHORIZED = (404, 102), (413, 104), (401, 109)
ENCRYPTION, NO_TTL, TOPIC, NEGATIVE_TTL = (400, 110), (400, 111), (400, 113), (400, 114)
NO_METHOD, BAD_URGENCY = (405, None), (400, None)
CREATED = (201, None)
MONTH = 30 * 86_400
OWN, OTHER = KeyPair.generate(), KeyPair.generate()


class Part(NamedTuple):
    """Headers, and what is wrong with them."""

    headers: Mapping[str, str] = {}
    wrong: Verdict | None = None


class Vapid(NamedTuple):
    """How the sender says who it is. `claims` of the token, `None` without any."""

    wrong: bool
    pair: KeyPair = OWN
    audience: str = ORIGIN
    claims: Mapping[str, Any] = {}
    change: int | None = None  # which character of the token is another one
    scheme: str = "vapid"

    def headers(self, now: int) -> dict[str, str]:
        whole = vapid(self.pair, self.audience, now, **{**self.claims, **self._times(now)})
        token, _, key = whole.removeprefix("vapid t=").partition(",k=")
        if self.change is not None:
            place = self.change % len(token)
            token = token[:place] + ("B" if token[place] == "A" else "A") + token[place + 1 :]
        if self.scheme == "vapid":
            return {"Authorization": f"vapid t={token}, k={key}"}
        return {"Authorization": f"{self.scheme} {token}", "Crypto-Key": f"p256ecdsa={key}"}

    def _times(self, now: int) -> dict[str, Any]:
        ahead = self.claims.get("exp")
        return {"exp": now // 1000 + ahead} if isinstance(ahead, int) else {}


def _part(name: str, wrong: Verdict | None, *values: str) -> list[Part]:
    return [Part({name: value}, wrong) for value in values]


TTLS = [
    Part({}, NO_TTL),
    *_part("TTL", NO_TTL, "", "soon", "1.5", "+5", "0x10", "1e3", "6 0", "٣", "9" * 400),
    *_part("TTL", NEGATIVE_TTL, "-1", "-2592000"),
    *_part("TTL", None, "0", "1", " 60 ", str(MONTH), str(MONTH + 1), "9" * 20),
]
TOPICS = [
    Part(),
    *_part("Topic", TOPIC, "", "a" * 33, "with space", "sl/ash", "plus+", "ünder", "a=b", "\x00"),
    *_part("Topic", None, "a", "A-Z_09", "a" * 32, "YQ=="),
]
URGENCIES = [
    Part(),
    *_part("Urgency", BAD_URGENCY, "low, high", "low,low"),
    *_part("Urgency", None, "very-low", "low", "normal", "high", "whenever"),
]
SALT, DH = "salt=XZwpw6o37R-6qoZjw6KwAw", "dh=BNoRDbb84JGm8g5Z5CFxurSqsXWJ11Itfx"
GCM = {"Content-Encoding": "aes128gcm"}
OLD = {"Content-Encoding": "aesgcm"}
ENCODINGS = [
    Part({}, ENCRYPTION),
    *_part("Content-Encoding", ENCRYPTION, "", "gzip", "aes128gcm, gzip", "aesgcm128"),
    Part({**GCM, "Encryption": SALT}, ENCRYPTION),
    Part({**GCM, "Encryption": f'keyid="a"; {SALT}'}, ENCRYPTION),
    Part({**GCM, "Crypto-Key": DH}, ENCRYPTION),
    Part(OLD, ENCRYPTION),
    Part({**OLD, "Encryption": "keyid=a", "Crypto-Key": DH}, ENCRYPTION),
    Part({**OLD, "Encryption": "salt=sl/ash", "Crypto-Key": DH}, ENCRYPTION),
    Part({**OLD, "Encryption": SALT + ";x=" + "y" * 70_000, "Crypto-Key": DH}, ENCRYPTION),
    Part(GCM),
    Part({**GCM, "Encryption": "keyid=a;rs=4096"}),
    Part({**OLD, "Encryption": f"{SALT}==", "Crypto-Key": f"keyid=p256dh;{DH}="}),
]
BODIES = [(size, TOO_LARGE if size > 5_630 else None) for size in (0, 1, 103, 3_993 + 103, 4_096 + 103, 5_630, 5_631)]
METHODS = [("POST", None), *((name, NO_METHOD) for name in ("PUT", "PATCH", "DELETE", "HEAD", "TRACE", "post"))]
HOUR, DAY = 3_600, 86_400
SENDERS = [
    None,
    Vapid(False),
    Vapid(False, claims={"exp": DAY}),
    Vapid(False, claims={"sub": None}),
    Vapid(False, audience=ORIGIN.upper().replace("HTTP", "http")),
    Vapid(False, scheme="WebPush"),
    Vapid(False, scheme="Bearer"),
    Vapid(True, claims={"exp": 0}),
    Vapid(True, claims={"exp": -HOUR}),
    Vapid(True, claims={"exp": DAY + 1}),
    Vapid(True, claims={"exp": None}),
    Vapid(True, claims={"exp": "tomorrow"}),
    Vapid(True, claims={"exp": float("inf")}),
    Vapid(True, claims={"exp": [1]}),
    Vapid(True, claims={"aud": None}),
    Vapid(True, claims={"aud": 7}),
    Vapid(True, audience="http://push.test.example"),
    Vapid(True, audience="https://push.test"),
    Vapid(True, audience="push.test"),
    Vapid(True, scheme="Basic"),
]


class Request(NamedTuple):
    """`endpoint`: `v1`, `v2` (bound to `OWN`), or something that nobody made."""

    endpoint: str
    method: tuple[str, Verdict | None]
    ttl: Part
    topic: Part
    urgency: Part
    encoding: Part
    body: tuple[int, Verdict | None]
    sender: Vapid | None

    def made(self, urls: Mapping[str, str], now: int) -> HttpRequest:
        """To one of our endpoints. Every header is sent in some other case than ours."""
        headers = dict(self.sender.headers(now)) if self.sender else {}
        for part in (self.ttl, self.topic, self.urgency, self.encoding):
            for name, value in part.headers.items():
                headers[name] = f"{value}, {headers[name]}" if name in headers else value
        sent = {name.swapcase(): value for name, value in headers.items()}
        return HttpRequest(self.method[0], urls[self.endpoint], sent, b"b" * self.body[0])

    def verdicts(self) -> set[Verdict]:
        """All that is wrong with it; which of it is told first is nobody's business but a forged token's."""
        if self.endpoint not in ("v1", "v2"):
            return {NO_TOKEN}
        if self.method[1]:
            return {self.method[1]}
        parts = [self.ttl.wrong, self.topic.wrong, self.urgency.wrong, self.body[1], self._sender_wrong()]
        # Without a body there is nothing to decrypt, whatever the headers say.
        parts.append(self.encoding.wrong if self.body[0] else None)
        return {each for each in parts if each is not None} or {CREATED}

    def _sender_wrong(self) -> Verdict | None:
        if self.sender is None:
            return UNAUTHORIZED if self.endpoint == "v2" else None
        changed = self.sender.wrong or self.sender.change is not None
        stranger = self.endpoint == "v2" and self.sender.pair is not OWN
        return UNAUTHORIZED if changed or stranger else None


def mostly(right: Sequence[Any], wrong: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Else hardly a request would be right in all parts."""
    return st.one_of(st.sampled_from(right), st.sampled_from(right), st.sampled_from(right), st.sampled_from(wrong))


def _by_wrong(parts: Sequence[Part]) -> st.SearchStrategy[Part]:
    return mostly([part for part in parts if not part.wrong], [part for part in parts if part.wrong])


_changed = st.builds(lambda place: Vapid(False, change=place), st.integers(0, 400))
_strangers = st.builds(lambda sender: (sender or Vapid(False))._replace(pair=OTHER), st.sampled_from(SENDERS))
_proper = [sender for sender in SENDERS if sender and not sender.wrong]
requests = st.builds(
    Request,
    st.sampled_from(["v1", "v1", "v2", "v2", "v2", "v2 of another server", "v1 as v2", "v2 as v1", "cut", "flipped"]),
    mostly(METHODS[:1], METHODS[1:]),
    _by_wrong(TTLS),
    _by_wrong(TOPICS),
    _by_wrong(URGENCIES),
    _by_wrong(ENCODINGS),
    mostly(BODIES[:-1], BODIES[-1:]),
    st.sampled_from(_proper) | st.sampled_from(_proper) | st.sampled_from(SENDERS) | _strangers | _changed,
)
