"""What becomes of a message when it arrives: read, kept on disk, and only then acknowledged.

The acknowledgement deletes the message at the push service, so it is on our disk before: a crash in between brings it
again, and its remembered id says so. What is on disk is shown in its turn (display.py), however long the screen is
locked or away, without holding back the messages behind it.
"""

import msgspec
import structlog

from clarion.agent.clock import now
from clarion.agent.inbox import Inbox
from clarion.agent.outbox import Outbox
from clarion.agent.state import State
from clarion.crypto import base64url
from clarion.crypto.webpush import CannotDecrypt
from clarion.model import ReceiptKind
from clarion.wire.autopush import AckCode, Notification
from clarion.wire.payload import WebPayload

log = structlog.get_logger(__name__)

ENCODING = "aes128gcm"


class Reception:
    """Takes what the connection hands over."""

    def __init__(self, state: State, inbox: Inbox, outbox: Outbox) -> None:
        self._state = state
        self._inbox = inbox
        self._outbox = outbox

    def receive(self, message: Notification) -> AckCode:
        """The code to acknowledge it with. Never raises for what a message holds."""
        try:
            plain = self._decrypt(message)
        except ValueError as error:  # CannotDecrypt, and what is no base64url
            log.warning("not_decrypted", why=str(error))
            return AckCode.NOT_DECRYPTED
        payload = read_payload(plain)
        if payload is None:
            log.warning("not_understood", bytes=len(plain))
            return AckCode.NOT_DELIVERED
        with self._state.transaction():
            fresh = self._inbox.take(payload.id, payload.tag, plain)
            if fresh:
                self._outbox.add(payload, ReceiptKind.DELIVERED, now())
        log.info("received" if fresh else "repeated", delivery=payload.id)
        return AckCode.DELIVERED

    def _decrypt(self, message: Notification) -> bytes:
        encoding = (message.headers or {}).get("encoding")
        if message.data is None or encoding != ENCODING:
            raise CannotDecrypt(f"only {ENCODING} is read here, not {encoding or 'a message without a body'}")
        return self._state.kept.receiver.decrypt(base64url.decode(message.data))


def read_payload(plain: bytes) -> WebPayload | None:
    """What the sender's server composed; None for anything else."""
    try:
        payload = msgspec.json.decode(plain, type=WebPayload)
    except msgspec.DecodeError:
        return None
    return payload if payload.id else None
