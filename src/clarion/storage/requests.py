"""How a notification's message and audience lie in one column."""

import msgspec

from clarion.model import Audience, Message


class Request(msgspec.Struct, frozen=True):
    """What a caller asked for."""

    message: Message
    to: Audience
    sent_by: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Request)


def encode_request(request: Request) -> str:
    """To compact JSON text."""
    return _encoder.encode(request).decode()


def decode_request(text: str) -> Request:
    """From what `encode_request` made."""
    return _decoder.decode(text)
