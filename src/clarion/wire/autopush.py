"""What devices and our push service say to each other: Mozilla's autopush protocol, one struct a message.

JSON text frames, a union tagged by `messageType`. The gateway parses `ClientMessage`, a device parses `ServerMessage`;
both encode with `encode`. Fields that we do not know are skipped: the protocol has no version header.
"""

import re
from enum import IntEnum
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from clarion.model import Urgency

SUBPROTOCOL: Final = "push-notification"
"""What Firefox offers in `Sec-WebSocket-Protocol`; it must be answered."""
HELLO_TIMEOUT_S: Final = 5
"""The first message is a hello, and comes within this time."""
MIN_PING_INTERVAL_MS: Final = 45_000
"""A device that pings more often is disconnected."""
DRAIN_BATCH: Final = 10
"""Stored messages sent at once; the next ones wait until all are acknowledged."""

# Characters. Anybody may send these, and they wait for the store; a longer one is no message at all.
_MAX_CHANNEL_ID, _MAX_KEY = 64, 1_024
_WIRE_NAMES = {"channel_id": "channelID", "push_endpoint": "pushEndpoint"}
_CHANNEL_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_UAID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class CloseCode(IntEnum):
    """Why the server closes the socket (RFC 6455 section 7.4.1)."""

    UAID_RESET = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    BINARY = 1003
    TOO_BIG = 1009
    ERROR = 1011


class AckCode(IntEnum):
    """What became of a message on the device."""

    DELIVERED = 100
    NOT_DECRYPTED = 101
    NOT_DELIVERED = 102


class NackCode(IntEnum):
    """How the page's own code failed on a message."""

    EXCEPTION = 301
    REJECTION = 302
    INTERNAL = 303


class _Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    tag_field="messageType",
    rename=_WIRE_NAMES,
):
    """Base of all messages; a field that has its default is left out on the wire."""


# --- from the device --------------------------------------------------------------------------------------------------


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """The first message. `uaid` is any JSON value: one that we did not give gets a new one, never an error."""

    uaid: Any = None
    broadcasts: dict[str, str] | None = None
    use_webpush: bool | None = None


class Register(_Message, frozen=True, kw_only=True, tag="register"):
    """A new subscription. `channel_id` is a lowercase dashed UUID, `key` the sender's VAPID key in base64url."""

    channel_id: Annotated[str, msgspec.Meta(max_length=_MAX_CHANNEL_ID)]
    key: Annotated[str, msgspec.Meta(max_length=_MAX_KEY)] | None = None


class Unregister(_Message, frozen=True, kw_only=True, tag="unregister"):
    """`code`: 200 by hand, 201 quota exceeded, 202 permission revoked."""

    channel_id: Annotated[str, msgspec.Meta(max_length=_MAX_CHANNEL_ID)]
    code: int | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename=_WIRE_NAMES):
    """One acknowledged message."""

    channel_id: str
    version: str
    code: int | None = None


class Ack(_Message, frozen=True, kw_only=True, tag="ack"):
    """Messages that the device is done with, well or not (`AckCode`)."""

    updates: list[Update]


class Nack(_Message, frozen=True, kw_only=True, tag="nack"):
    """The page's code failed on a message (`NackCode`). It was acknowledged before; this one is only counted."""

    version: str | None = None
    code: int | None = None


class BroadcastSubscribe(_Message, frozen=True, kw_only=True, tag="broadcast_subscribe"):
    """Tell me when these broadcasts get another version."""

    broadcasts: dict[str, str]


class MinUrgency(_Message, frozen=True, kw_only=True, tag="urgency"):
    """Only messages at least as urgent, from now on (RFC 8030 section 5.3); the rest waits. Our own addition."""

    min: Urgency


class Ping(_Message, frozen=True, kw_only=True, tag="ping"):
    """Written `{}` by most; answered by `PONG`."""


ClientMessage: TypeAlias = Hello | Register | Unregister | Ack | Nack | BroadcastSubscribe | MinUrgency | Ping

# --- from the server --------------------------------------------------------------------------------------------------

Broadcasts: TypeAlias = dict[str, str | dict[str, str]]
"""Versions by id; those that do not exist stand under `errors` with the reason."""


class Welcome(_Message, frozen=True, kw_only=True, tag="hello", omit_defaults=False):
    """The answer to a hello. A `uaid` other than the device's own makes it drop every subscription."""

    uaid: str
    status: int = 200
    use_webpush: bool = True
    broadcasts: Broadcasts = {}


class Registered(_Message, frozen=True, kw_only=True, tag="register"):
    """`status`: 200, 400 (bad key), 500. `push_endpoint` is the address to hand to the sender."""

    channel_id: str
    status: int
    push_endpoint: str


class Unregistered(_Message, frozen=True, kw_only=True, tag="unregister"):
    """`status`: 200, 500."""

    channel_id: str
    status: int


class UrgencySet(_Message, frozen=True, kw_only=True, tag="urgency", omit_defaults=False):
    """The answer to `MinUrgency`: it holds."""

    status: int = 200


class Notification(_Message, frozen=True, kw_only=True, tag="notification"):
    """A push message. `version` is never used twice; `data` is base64url; an empty one has neither data nor headers.

    `headers` say how it is encrypted: `encoding`, and for the old `aesgcm` also `encryption` and `crypto_key`.
    """

    channel_id: str
    version: str
    data: str | None = None
    headers: dict[str, str] | None = None


class Broadcast(_Message, frozen=True, kw_only=True, tag="broadcast"):
    """Versions that are new, and errors."""

    broadcasts: Broadcasts


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to a ping: `{}`."""


ServerMessage: TypeAlias = Welcome | Registered | Unregistered | UrgencySet | Notification | Broadcast | Pong

# --- reading and writing ----------------------------------------------------------------------------------------------


class NotAMessage(ValueError):
    """The frame is not a message of this protocol; the text says what would be right."""


T = TypeVar("T")
_PING = Ping()
_PONG = Pong()
_encoder = msgspec.json.Encoder()
_from_client: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_from_server: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(
    Welcome | Registered | Unregistered | UrgencySet | Notification | Broadcast
)
_anything = msgspec.json.Decoder()

encode = _encoder.encode
"""A message as the bytes of a text frame."""
encode_into = _encoder.encode_into
"""`encode_into(message, bytearray, offset)`: the same without an object of its own."""


def parse_client(frame: bytes) -> ClientMessage:
    """A device's message. Raises NotAMessage."""
    return _parse(_from_client, frame, _PING)


def parse_server(frame: bytes) -> ServerMessage:
    """The server's message. Raises NotAMessage."""
    return _parse(_from_server, frame, _PONG)


def is_channel_id(text: str) -> bool:
    """Whether it is a UUID in lowercase with dashes, the only form that both sides use."""
    return _CHANNEL_ID.fullmatch(text) is not None


def is_uaid(value: object) -> bool:
    """Whether it has the form of a device's name that we give: 32 lowercase hex digits."""
    return isinstance(value, str) and _UAID.fullmatch(value) is not None


def _parse(decoder: msgspec.json.Decoder[T], frame: bytes, bare: T) -> T:
    try:
        return decoder.decode(frame)
    except (ValueError, RecursionError) as error:  # msgspec's own errors and UnicodeDecodeError are ValueErrors
        if _is_bare(frame):
            return bare
        raise NotAMessage(str(error)) from error


def _is_bare(frame: bytes) -> bool:
    """`{}` has no tag to tell it by."""
    try:
        return bool(_anything.decode(frame) == {})
    except (ValueError, RecursionError):
        return False
