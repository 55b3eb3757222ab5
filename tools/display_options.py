"""Writes docs/reference/display-options.md: what each option of a message becomes on each kind of device.

Nothing is described here: each option is composed and sent, to nowhere, and what differs from a message without it is
written down. A test compares the page with that.
"""
# ruff: noqa: INP001 - a script, not a package

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clarion.crypto.credentials import ApnsToken, ServiceAccount
from clarion.crypto.p256 import KeyPair
from clarion.crypto.webpush import Receiver
from clarion.journey.candidate import Decided
from clarion.journey.compose import Composer, Scene
from clarion.model import (
    Action,
    Audience,
    Category,
    DeviceKind,
    Json,
    LockScreen,
    Message,
    Notification,
    Permission,
    Reason,
    Urgency,
)
from clarion.ports import Address, HttpBatch, HttpRequest, HttpResponse, Outgoing, Provider, Ready, Recipient, Target
from clarion.providers.apns import ApnsProvider
from clarion.providers.fcm import FcmProvider
from clarion.providers.webpush import WebPushProvider

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "display-options.md"
NOW = 1_800_000_000_000
HEAD = """# Display options

Written by `make docs` from what is really composed and sent. Each row has what differs from a message with nothing but
a title, whose `category` is `general`, `urgency` normal and `ttl` three days. **H** marks a request header, all else is
in the payload; a field with a line through it is left out.

The system itself shows what is in `aps` on iOS, and in `notification` and `android` on Android. `clarion…` and `data`
are for the app and its extension. In a browser everything is shown by our service worker.

What an option cannot say, the kind's own part can: `apns`, `fcm` and `webpush` of a message are merged into the payload
(objects name by name, `null` takes away, RFC 7396), and have the last word. So the number on an app's icon is
`"apns": {"aps": {"badge": 3}}`. More in [APNs and FCM](../guides/apns-and-fcm.md).
"""
LINK = "https://a.example/x"
OPTIONS: dict[str, Json] = {
    "`body`": {"body": "Text"},
    "`url`": {"url": LINK},
    "`icon`": {"icon": LINK},
    "`image`": {"image": LINK},
    "`badge`": {"badge": LINK},
    "`sound`: a name": {"sound": "bell.wav"},
    "`sound`: `none`": {"sound": "none"},
    "`sound`: `critical`": {"sound": "critical"},
    "`vibrate`": {"vibrate": [100, 50]},
    "`lock_screen`: `hide_content`": {"body": "Text", "lock_screen": LockScreen.HIDE_CONTENT},
    "`lock_screen`: `hide`": {"body": "Text", "lock_screen": LockScreen.HIDE},
    "`require_interaction`": {"require_interaction": True},
    "`actions`": {"actions": [Action(id="go", title="Go", url=LINK)]},
    "`data`": {"data": {"order": 7}},
    "`category`": {"category": "orders"},
    "`collapse_key`": {"collapse_key": "order"},
    "`ttl`": {"ttl": 60},
    "`ttl`: 0": {"ttl": 0},
    "`urgency`: `very-low`": {"urgency": Urgency.VERY_LOW},
    "`urgency`: `low`": {"urgency": Urgency.LOW},
    "`urgency`: `high`": {"urgency": Urgency.HIGH},
}
BESIDE = {"body": "Text"}
"""In the message of comparison too, where an option is about it."""


class Nowhere:
    """A transport of either form, and the senders that give it; keeps what it was given."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""

    def to(self, _origin: str, **_how: Any) -> "Nowhere":
        """Whoever it is to."""
        return self

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        """Accepted; an access token for who asks for one."""
        [request] = batch.requests
        self.headers, self.body = dict((*batch.headers, *request.headers)), request.body
        return [HttpResponse(200, body=b'{"access_token":"t","expires_in":3600}')]

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        """Accepted."""
        self.headers = dict(requests[0].headers)
        return [HttpResponse(201)]

    async def close(self) -> None:
        """Nothing is open."""


class Way(NamedTuple):
    """How a kind of device is reached: its provider, with the address and the credential of somebody."""

    provider: Provider
    out: Nowhere
    address: str
    details: str
    secrets: dict[str, bytes]


@lru_cache
def ways() -> dict[DeviceKind, Way]:
    """One for each kind that has a provider of its own."""

    def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    apple, google, web = Nowhere(), Nowhere(), Nowhere()
    team = ApnsToken(
        key_id="K", team_id="T", bundle_id="com.example.app", private_key=pem(ec.generate_private_key(ec.SECP256R1()))
    )
    account = ServiceAccount(
        project_id="p",
        client_email="e",
        private_key_id="k",
        private_key=pem(rsa.generate_private_key(65_537, 2_048)),
        token_uri="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    )
    pair, keys = KeyPair.generate(), Receiver.generate().keys()
    subscription = json.dumps({**keys, "vapid_public_key": pair.public_text})
    return {
        DeviceKind.APNS: Way(ApnsProvider(apple), apple, "ab" * 32, "{}", {"a": team.sealed_form()}),
        DeviceKind.FCM: Way(FcmProvider(google), google, "token", "{}", {"a": account.sealed_form()}),
        DeviceKind.WEBPUSH: Way(
            WebPushProvider(web, subject="mailto:a@example.com", own_origin="https://own.example"),
            web,
            "https://push.example/s",
            subscription,
            {pair.public_text: pair.private},
        ),
    }


def sent(kind: DeviceKind, options: Json) -> dict[str, Any]:
    """What leaves for a device, flat: payload by path, headers by `H name`."""
    way = ways()[kind]
    ready = composed(kind, options)
    asyncio.run(way.provider.send([Outgoing(ready, Address(1, 1, kind, way.address, way.details))], way.secrets, NOW))
    told = msgspec.json.decode(ready.payload)
    if kind is DeviceKind.FCM:
        told = msgspec.json.decode(way.out.body)["message"]
    headers = {f"**H** {name}": value for name, value in way.out.headers.items() if name != "authorization"}
    return dict(flat(told)) | headers


def composed(kind: DeviceKind, options: Json) -> Ready:
    """A message with nothing but a title and these options."""
    message = Message(**{"title": "Title", **options})
    notification = Notification(
        key=1, id="0" * 32, project=1, message=message, to=Audience(everyone=True), created_at=NOW
    )
    scene = Scene(
        project=1,
        project_facts={"id": "shop", "name": "Shop"},
        categories={name: Category(name=name) for name in ("general", "orders")},
        templates={},
        events={},
        receipts_for=lambda _project, _notification, _end: lambda _user, _device: "…",
        receipts_url="…",
        now_text="",
    )
    target = Target(1, kind, Permission.GRANTED, None)
    recipient = Recipient(1, "u", None, None, "{}", [target], {})
    decided = Decided(notification, recipient, Reason.SEND, None, "[]", [target])
    _, [(_, ready)] = Composer(scene).compose([decided])
    return ready


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no object, by its path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def cell(kind: DeviceKind, options: Json) -> str:
    """What the options change."""
    beside = BESIDE if len(options) > 1 else {}
    before, after = sent(kind, beside), sent(kind, options)
    lines = [
        f"{name(path)} `{json.dumps(after[path], ensure_ascii=False)}`"
        for path in after
        if path not in before or before[path] != after[path]
    ]
    gone = [f"~~{name(path)}~~" for path in before if path not in after]
    return "<br>".join([*lines, *gone]) or "-"


def name(path: str) -> str:
    """A path as it is written on the page."""
    return path if path.startswith("**H**") else f"`{path}`"


def page() -> str:
    """The whole page."""
    rows = [f"| {label} | {' | '.join(cell(kind, options) for kind in ways())} |" for label, options in OPTIONS.items()]
    heads = ["| option | APNs | FCM (Android) | Web Push |", "|---|---|---|---|"]
    return "\n".join([HEAD, *heads, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
