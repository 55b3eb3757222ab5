"""Web Push: what the service worker and the desktop agent show."""

import msgspec
from msgspec import UNSET

from clarion.journey.payloads.written import CRITICAL, SILENT, Draft, Written, merged
from clarion.model import DeviceKind, Urgency
from clarion.wire.payload import ENCRYPTION_OVERHEAD, MAX_PAYLOAD, WebPayload


def draft(written: Written) -> Draft:
    """Version 1 of our own payload."""
    message, words = written.message, written.words
    silent, update = message.sound == SILENT, written.update
    payload = WebPayload(
        id=written.id,
        receipt=written.receipt,
        receipts_url=written.receipts_url,
        title=words.title,
        body=words.body,
        url=words.url,
        icon=words.icon,
        image=words.image,
        badge=words.badge,
        tag=written.tag,
        vibrate=[] if silent else (message.vibrate or []),
        silent=silent,
        sound=message.sound if message.sound not in (None, SILENT, CRITICAL, "default") else UNSET,
        urgency=message.urgency.value if message.urgency is not Urgency.NORMAL else UNSET,
        require_interaction=message.require_interaction,
        actions=words.actions,
        lock_screen=message.lock_screen.value,
        data=message.data,
        category=message.category,
        class_=written.category.class_.value,
        update=update.kind.value if update is not None else UNSET,
        renotify=True if update is not None and update.renotify else UNSET,
    )
    whole = merged(msgspec.to_builtins(payload), message.webpush) if message.webpush else payload
    return Draft(whole, MAX_PAYLOAD[DeviceKind.WEBPUSH], overhead=ENCRYPTION_OVERHEAD)
