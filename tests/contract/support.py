"""Words of the store's contract tests: a project, a person, a device, a notification, each in one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from clarion.model import (
    ApiKey,
    Audience,
    Channel,
    Consent,
    Credential,
    Decision,
    Delivery,
    DeliveryState,
    Device,
    DeviceKind,
    Event,
    Key,
    Message,
    Millis,
    Notification,
    Outcome,
    Permission,
    Project,
    ProjectSettings,
    Reason,
    Receipt,
    ReceiptKind,
    Registration,
)
from clarion.ports import (
    ArmedWork,
    DeliverWork,
    DeliveryRecord,
    Dimension,
    Effects,
    FactsQuery,
    Job,
    Lease,
    LossAlert,
    NewWork,
    Page,
    PairsWork,
    PushMessage,
    Ready,
    Stoppage,
    StopReason,
    Store,
    uuid_of,
)
from clarion.testing.clock import START

T = TypeVar("T")

NOW: Millis = START
LEASE_MS = 15_000


# --- projects and people ---------------------------------------------------------------------------------------------


async def new_project(store: Store, id: str = "shop", vapid: str = "") -> Project:
    return await store.projects.create(id, id.title(), ProjectSettings(), credential(name=vapid or f"vapid-{id}"), NOW)


def credential(project: Key = 0, kind: DeviceKind = DeviceKind.WEBPUSH, name: str = "vapid") -> Credential:
    return Credential(project=project, kind=kind, name=name, sealed=b"sealed " + name.encode(), created_at=NOW)


def stoppage(project: Key, lane: str = "production/com.example.shop", **changed: Any) -> Stoppage:
    told = {"kind": DeviceKind.APNS, "reason": StopReason.BAD_CREDENTIALS, "detail": "403 InvalidProviderToken"}
    told |= {"credential": "team", "since": NOW, "again_at": NOW + 60_000, "failures": 1}
    return Stoppage(project=project, lane=lane, **told | changed)


def loss_alert(project: Key, name: str = "offers", **changed: Any) -> LossAlert:
    told = {"dimension": Dimension.CATEGORY, "since": NOW, "reached": 1_000, "lost": 24}
    told |= {"usual_reached": 10_000, "usual_lost": 80, "ratio_low": 1.7}
    return LossAlert(project=project, name=name, **told | changed)


def api_key(project: Key, id: str = "key", **fields: Any) -> ApiKey:
    told = {"kind": "server", "name": id, "scopes": ["*"], "hint": "abcd", "created_at": NOW} | fields
    return ApiKey(key=0, id=id, project=project, **told)


async def new_user(store: Store, project: Project, user_id: str = "u1") -> Key:
    return (await store.users.resolve(project.key, [user_id], NOW, create=True))[user_id]


async def new_users(store: Store, project: Project, count: int) -> list[Key]:
    """`count` users in rising key order."""
    ids = [f"u{number}" for number in range(count)]
    return sorted((await store.users.resolve(project.key, ids, NOW, create=True)).values())


def registration(address: str | None = "https://push.example/1", **fields: Any) -> Registration:
    return Registration(**({"kind": DeviceKind.WEBPUSH, "address": address} | fields))


async def register(
    store: Store,
    project: Project,
    user: Key,
    address: str | None = "https://push.example/1",
    *,
    id: str | None = None,
    now: Millis = NOW,
    **fields: Any,
) -> Device:
    """Register a device; its public id, if it is new, is `id` or made from the address."""
    told = registration(address, **fields)
    device, _ = await store.devices.register(project.key, user, told, id or f"device-{address}", now)
    return device


async def new_denied_device(store: Store, project: Project, user: Key, **fields: Any) -> Device:
    return await register(store, project, user, None, permission=Permission.DENIED, **fields)


def consent(user: Key, granted: bool, category: str = "offers", at: Millis = NOW, **fields: Any) -> Consent:
    told = {"channel": Channel.PUSH, "source": "form"} | fields
    return Consent(user=user, category=category, granted=granted, at=at, **told)


def event(user_id: str = "u1", name: str = "order", id: str | None = None, **fields: Any) -> Event:
    return Event(**({"user_id": user_id, "name": name, "id": id, "occurred_at": NOW} | fields))


# --- notifications and what becomes of them --------------------------------------------------------------------------


async def make_notification(store: Store, project: Project, id: str = "n1", **fields: Any) -> Notification:
    """A notification with a reserved key, not stored yet."""
    [key] = await store.trail.reserve(1)
    told = {"message": Message(title="Hello"), "to": Audience(everyone=True), "created_at": NOW} | fields
    return Notification(key=key, id=id, project=project.key, **told)


async def new_notification(store: Store, project: Project, id: str = "n1", **fields: Any) -> Notification:
    notification = await make_notification(store, project, id, **fields)
    assert await store.steps.commit(Effects(notifications=[notification]))
    return notification


async def new_armed(store: Store, project: Project, id: str = "armed", *users: Key) -> Notification:
    """A notification that is armed for a second, with one prepared batch."""
    armed = await make_notification(store, project, id, armed_until=NOW + 1_000)
    work = NewWork(project=project.key, job=armed_work(armed, *users), due_at=NOW + 1_000, notification=armed.key)
    await store.steps.commit(Effects(notifications=[armed], work=[work]))
    return armed


def armed_work(notification: Notification, *users: Key) -> ArmedWork:
    """A message for each user; the device has the user's key."""
    count = len(users)
    return ArmedWork(
        kind=DeviceKind.APNS, notification=notification.key, armed_at=NOW, category="general", urgency="normal",
        collapse_key=None, headers=None, users=list(users), devices=list(users), ids=[uuid_of(b"i" * 16)] * count,
        addresses=["ab" * 32] * count, details=["{}"], bodies=[b"{}"] * count, lane="production/app",
    )  # fmt: skip


def decision(notification: Notification, user: Key, reason: Reason = Reason.SEND, **fields: Any) -> Decision:
    told = {"until": None, "gates": '[["consent","send",null]]', "at": NOW} | fields
    return Decision(notification=notification.key, user=user, reason=reason, **told)


def delivery(notification: Notification, device: Device) -> Delivery:
    return Delivery(notification.key, device.user, device.key, device.kind)


async def new_delivery(store: Store, notification: Notification, device: Device) -> Delivery:
    """A delivery that is queued, with its decision."""
    queued = delivery(notification, device)
    effects = Effects(decisions=[decision(notification, device.user)], deliveries=[queued])
    assert await store.steps.commit(effects)
    return queued


def outcome(of: Delivery, state: DeliveryState, **fields: Any) -> Outcome:
    told = {"reason": None, "provider_id": None, "attempts": 1} | fields
    return Outcome(notification=of.notification, user=of.user, device=of.device, state=state, **told)


def receipt(project: Project, of: Delivery, kind: ReceiptKind = ReceiptKind.DISPLAYED, **fields: Any) -> Receipt:
    told = {"action": None, "at": NOW} | fields
    return Receipt(project=project.key, notification=of.notification, user=of.user, device=of.device, kind=kind, **told)


async def the_delivery(store: Store, project: Project, of: Delivery) -> DeliveryRecord:
    page = await store.trail.deliveries(
        project.key, notification=of.notification, user=None, state=None, cursor=None, limit=100
    )
    [found] = [record for record in page.items if record.device == of.device]
    return found


async def reasons_of(store: Store, project: Project, notification: Notification) -> dict[str, int]:
    return (await store.trail.progress(project.key, notification.key)).reasons


# --- work ------------------------------------------------------------------------------------------------------------


READY = Ready(
    notification=1,
    user=2,
    device=3,
    id=b"\x00\xff" * 8,
    payload=b'{"title": "\xc3\xa4"}',
    category="orders",
    expires_at=NOW + 1,
    urgency="high",
    collapse_key=None,
    attempts=2,
)


def pairs_work(*pairs: tuple[Key, Key]) -> PairsWork:
    return PairsWork(pairs=list(pairs))


def deliver_work(lane: str = "", kind: DeviceKind = DeviceKind.WEBPUSH, messages: int = 1) -> DeliverWork:
    return DeliverWork(kind=kind, decided_at=NOW, messages=[READY] * messages, lane=lane)


async def put_work(store: Store, project: Project, job: Job, due_at: Millis = NOW, **fields: Any) -> None:
    assert await store.steps.commit(Effects(work=[NewWork(project.key, job, due_at, **fields)]))


async def claim(store: Store, queue: str = "decide", now: Millis = NOW, lease_ms: int = LEASE_MS) -> list[Lease]:
    return await store.work.claim(queue, 100, now, lease_ms)


async def claim_one(store: Store, queue: str = "decide", now: Millis = NOW) -> Lease:
    [lease] = await claim(store, queue, now)
    return lease


async def stolen_lease(store: Store, project: Project) -> tuple[Lease, Lease]:
    """A job that was claimed, forgotten and claimed again: the lost lease and the one that holds."""
    await put_work(store, project, pairs_work((1, 1)))
    lost = await claim_one(store, now=NOW)
    return lost, await claim_one(store, now=lost.until + 1)


def facts_query(users: Sequence[Key], **fields: Any) -> FactsQuery:
    return FactsQuery(users=sorted(users), **fields)


# --- our push service ------------------------------------------------------------------------------------------------


async def new_channel(store: Store, uaid: str = "a" * 32, channel_id: str = "c1") -> tuple[Key, Key]:
    """A channel of a push-service device: the keys of the device and of the channel."""
    device = await store.push.register(uaid, channel_id, None, "node-1", NOW)
    [channel] = await store.push.channels([(uaid, channel_id)])
    assert channel is not None
    return device, channel.key


def push_message(device: Key, channel: Key, data: bytes = b"secret", **fields: Any) -> PushMessage:
    told = {"channel_id": "c1", "headers": {"encoding": "aes128gcm"}, "expires_at": NOW + 60_000} | fields
    return PushMessage(channel=channel, device=device, data=data, **told)


# --- lists and patience ----------------------------------------------------------------------------------------------


async def every_page(fetch: Callable[[str | None], Awaitable[Page[T]]]) -> list[list[T]]:
    """All pages in order, following the cursor to its end."""
    pages: list[list[T]] = []
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        pages.append(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return pages
        assert len(pages) < 100, "the cursor never ends"


async def soon(awaitable: Awaitable[T]) -> T:
    """What must end by itself: a deadlock fails the test instead of hanging it."""
    return await asyncio.wait_for(awaitable, timeout=20)


async def stays_blocked(task: asyncio.Task[Any]) -> bool:
    """Whether the task is still waiting after everything that could run has run."""
    done, _ = await asyncio.wait({task}, timeout=0.2)
    return not done
