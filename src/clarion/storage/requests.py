"""How a notification's message and audience lie in one column, and a row becomes a notification."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from clarion.model import Audience, Key, LocalTime, Message, Millis, Notification, Update
from clarion.storage.schema import notification


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a caller asked for."""

    message: Message
    to: Audience
    sent_by: str | None = None
    digest_of: tuple[Key, ...] = ()
    update: Update | None = None
    local_time: LocalTime | None = None
    rate: int | None = None
    ends_at: Millis | None = None

    @classmethod
    def of(cls, told: Notification) -> "Request":
        """What has no column of its own."""
        return cls(**{name: getattr(told, name) for name in cls.__struct_fields__})


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Request)
_BY_KEY = select(notification).where(
    notification.c.project == bindparam("owner"), notification.c.key.in_(bindparam("keys", expanding=True))
)


def encode_request(request: Request) -> str:
    """To compact JSON text."""
    return _encoder.encode(request).decode()


def decode_request(text: str) -> Request:
    """From what `encode_request` made."""
    return _decoder.decode(text)


def read_notifications(conn: Connection, project: Key, keys: Collection[Key]) -> list[Notification]:
    """Those of a project that there are."""
    return [to_notification(row) for row in conn.execute(_BY_KEY, {"owner": project, "keys": list(keys)})]


def to_notification(row: Row[Any]) -> Notification:
    """A whole row of the table."""
    request = decode_request(row.request)
    return Notification(
        key=row.key,
        id=row.id,
        project=row.project,
        message=request.message,
        to=request.to,
        sent_by=request.sent_by,
        digest_of=request.digest_of,
        local_time=request.local_time,
        rate=request.rate,
        ends_at=request.ends_at,
        created_at=row.created_at,
        send_at=row.send_at,
        cancelled_at=row.cancelled_at,
        automation=row.automation,
        event=row.event,
        armed_until=row.armed_until,
        fired_at=row.fired_at,
        campaign=row.campaign,
        paused_at=row.paused_at,
        update=request.update,
        updated_by=row.updated_by,
    )
