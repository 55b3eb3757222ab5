"""All that is known about one person."""

from clarion.api.answers.base import Answer
from clarion.api.answers.people import ConsentLine, DeviceAnswer, OwnPreferences, UserAnswer
from clarion.api.answers.sending import DecisionAnswer, DeliveryAnswer
from clarion.api.fields import Told, told
from clarion.journey.story import Chapter
from clarion.model import Event, Json
from clarion.ports import DeliveryRecord, ReceiptRecord


class EventAnswer(Answer, frozen=True, kw_only=True):
    """Something that happened."""

    name: str
    properties: Json
    occurred_at: Told
    id: str | None

    @classmethod
    def of(cls, event: Event) -> "EventAnswer":
        """As the API shows it."""
        return cls(name=event.name, properties=event.properties, occurred_at=told(event.occurred_at), id=event.id)


class ReceiptAnswer(Answer, frozen=True, kw_only=True):
    """What a device told."""

    notification_id: str | None
    device_id: str | None
    kind: str
    action: str | None
    at: Told

    @classmethod
    def of(cls, record: ReceiptRecord, of: dict[tuple[int, int], DeliveryRecord]) -> "ReceiptAnswer":
        """As the API shows it; `of` finds the delivery by the keys of notification and device."""
        delivery = of.get((record.notification, record.device))
        return cls(
            notification_id=None if delivery is None else delivery.notification_id,
            device_id=None if delivery is None else delivery.device_id,
            kind=record.kind,
            action=record.action,
            at=told(record.at),
        )


class ExportAnswer(Answer, frozen=True, kw_only=True):
    """Everything that is known about a person."""

    user: UserAnswer
    devices: list[DeviceAnswer]
    consents: list[ConsentLine]
    preferences: OwnPreferences
    topics: list[str]
    segments: list[str]  # those that are lists
    events: list[EventAnswer]
    decisions: list[DecisionAnswer]
    deliveries: list[DeliveryAnswer]
    receipts: list[ReceiptAnswer]


class ChapterAnswer(Answer, frozen=True, kw_only=True):
    """One thing that happened."""

    at: Told
    stage: str
    what: str
    detail: Json

    @classmethod
    def of(cls, chapter: Chapter) -> "ChapterAnswer":
        """As the API shows it, the time in its detail too."""
        until = chapter.detail.get("until")
        detail = chapter.detail if until is None else {**chapter.detail, "until": told(until)}
        return cls(at=told(chapter.at), stage=chapter.stage, what=chapter.what, detail=detail)


class StoryAnswer(Answer, frozen=True, kw_only=True):
    """What happened to a person, in time order."""

    user_id: str
    chapters: list[ChapterAnswer]
