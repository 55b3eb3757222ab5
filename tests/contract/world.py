"""A small world in one project, and every way to read it: for what must stay apart and what must leave no trace."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from clarion.model import (
    Audience,
    Delivery,
    DeliveryState,
    Device,
    DeviceKind,
    Key,
    Message,
    Notification,
    PreferenceChange,
    Project,
    QuietHours,
    ReceiptKind,
    Run,
    UserChange,
)
from clarion.ports import CapsQuery, Dimension, Effects, FactsQuery, LossCount, Slot, Store
from contract.support import (
    NOW,
    api_key,
    consent,
    credential,
    decision,
    delivery,
    event,
    loss_alert,
    new_notification,
    new_project,
    outcome,
    receipt,
    register,
    stoppage,
)

CONTENT = 77


@dataclass(frozen=True)
class Person:
    """One user's keys; `mark` is in every text that was stored for them."""

    key: Key
    user_id: str
    mark: str
    device: Device
    queued: Delivery
    events: list[Key]


@dataclass(frozen=True)
class World:
    """A project with one of everything, under public ids that every world shares."""

    project: Project
    notification: Notification
    people: list[Person]


async def new_world(store: Store, name: str, people: int = 1) -> World:
    """Everything in it carries a mark that begins with `name`."""
    project = await new_project(store, name)
    await store.projects.add_key(api_key(project.key, "k1", name=f"{name}-key"), name.encode().ljust(32))
    await store.projects.add_credential(credential(project.key, DeviceKind.APNS, f"{name}-team"))
    await store.stoppages.put(stoppage(project.key, detail=f"{name}-detail"))
    await store.losses.put_alerts(project.key, [loss_alert(project.key, f"{name}-alert")])
    count = LossCount(dimension=Dimension.CATEGORY, name=f"{name}-offers", day=NOW, reached=1)
    await store.losses.put(project.key, 0, [count])
    await store.definitions.put(project.key, "templates", "t1", {"name": "t1", "title": f"{name}-title"}, NOW)
    notification = await new_notification(
        store, project, "n1", message=Message(title=f"{name}-title"), to=Audience(everyone=True)
    )
    made = [await _new_person(store, project, notification, f"u{number}", name) for number in range(people)]
    return World(project, notification, made)


async def _new_person(store: Store, project: Project, notification: Notification, user_id: str, name: str) -> Person:
    mark = f"{name}-{user_id}-mark"
    change = UserChange(attributes={"secret": mark}, email=f"{mark}@example.org")
    user, _ = await store.users.put(project.key, user_id, change, NOW)
    address = f"https://push.example/{user_id}"  # the same in every world
    device = await register(store, project, user.key, address, id=f"device-{user_id}", model=mark)
    await store.consents.append(project.key, [consent(user.key, True, source=mark)])
    # A no to a category of their own, so that the mark is in what is kept of those who said no.
    await store.consents.append(project.key, [consent(user.key, False, category=mark)])
    asked = QuietHours(start="22:00", end="08:00", days=(mark,))  # the store does not look into the days
    await store.preferences.put(project.key, user.key, PreferenceChange(quiet_hours=asked), NOW)
    happened = event(user_id, properties={"secret": mark}, id=f"event-{user_id}")
    await store.events.add(project.key, [happened], frozenset(), NOW)
    queued = delivery(notification, device)
    effects = Effects(
        decisions=[decision(notification, user.key, gates=f'["{mark}"]')],
        deliveries=[queued],
        outcomes=[outcome(queued, DeliveryState.ACCEPTED, provider_id=mark)],
        sent_content=[(user.key, CONTENT)],
        runs=[Run(automation="a1", version=1, user=user.key, began_at=NOW, since=NOW, data={"secret": mark})],
        slots=[Slot(user.key, notification.key, NOW, "offers", "marketing", mark)],
    )
    await store.steps.commit(effects)
    await store.trail.add_receipts([receipt(project, queued, ReceiptKind.CLICKED, action=mark)], NOW)
    events = [found.key for found in await store.events.of_user(project.key, user.key, 10) if found.key]
    return Person(user.key, user_id, mark, device, queued, events)


@dataclass(frozen=True)
class Look:
    """Who looks at what: `project` may be another than the one that `world` and `person` belong to."""

    store: Store
    project: Key
    world: World
    person: Person


Read = Callable[[Look], Awaitable[Any]]

# By public ids, which every world has: each must answer with its own.
READS_BY_ID: dict[str, Read] = {
    "projects.keys": lambda at: at.store.projects.keys(at.project),
    "projects.credentials": lambda at: at.store.projects.credentials(at.project, DeviceKind.APNS),
    "projects.all_credentials": lambda at: at.store.projects.all_credentials(at.project),
    "definitions.get": lambda at: at.store.definitions.get(at.project, "templates", "t1"),
    "definitions.all": lambda at: at.store.definitions.all(at.project, "templates"),
    "definitions.page": lambda at: at.store.definitions.page(at.project, "templates", None, 10),
    "users.get": lambda at: at.store.users.get(at.project, at.person.user_id),
    "users.resolve": lambda at: at.store.users.resolve(at.project, [at.person.user_id], NOW, create=False),
    "devices.get": lambda at: at.store.devices.get(at.project, at.person.device.id),
    "devices.find": lambda at: at.store.devices.find(at.project, [at.person.device.id]),
    "losses.since": lambda at: at.store.losses.since(at.project, 0),
    "losses.sums": lambda at: at.store.losses.sums(at.project, Dimension.CATEGORY, 0, NOW + 1),
    "losses.alerts": lambda at: at.store.losses.alerts(at.project),
    "stoppages.of_project": lambda at: at.store.stoppages.of_project(at.project),
    "trail.notification": lambda at: at.store.trail.notification(at.project, at.world.notification.id),
    "runs.page": lambda at: at.store.runs.page(at.project, "a1", None, None, None, 10),
    "runs.newest": lambda at: at.store.runs.newest(at.project, "a1", None, None, 10),
    "trail.notifications": lambda at: at.store.trail.notifications(at.project, None, 10),
}

# By internal keys: under another project they find nothing.
READS_BY_KEY: dict[str, Read] = {
    "users.by_key": lambda at: at.store.users.by_key(at.project, at.person.key),
    "users.ids": lambda at: at.store.users.ids(at.project, [at.person.key]),
    "devices.of_user": lambda at: at.store.devices.of_user(at.project, at.person.key),
    "consents.of_user": lambda at: at.store.consents.of_user(at.project, at.person.key),
    "preferences.get": lambda at: at.store.preferences.get(at.project, at.person.key),
    "events.load": lambda at: at.store.events.load(at.project, at.person.events),
    "events.of_user": lambda at: at.store.events.of_user(at.project, at.person.key, 10),
    "losses.of_user": lambda at: at.store.losses.of_user(at.project, at.person.key),
    "losses.touches": lambda at: at.store.losses.touches(at.project, [at.person.key], 0),
    "runs.under_way": lambda at: at.store.runs.under_way(at.project, [at.person.key]),
    "trail.load": lambda at: at.store.trail.load(at.project, [at.world.notification.key]),
    "trail.progress": lambda at: at.store.trail.progress(at.project, at.world.notification.key),
    "trail.holders": lambda at: at.store.trail.holders(at.project, at.world.notification.key, 0, 0, 10),
    "trail.standings": lambda at: at.store.trail.standings(at.project, at.world.notification.key, [at.person.key]),
    "trail.decisions of a notification": lambda at: _decisions(at, notification=at.world.notification.key),
    "trail.decisions of a user": lambda at: _decisions(at, user=at.person.key),
    "trail.deliveries of a notification": lambda at: _deliveries(at, notification=at.world.notification.key),
    "trail.deliveries of a user": lambda at: _deliveries(at, user=at.person.key),
    "trail.receipts_of_user": lambda at: at.store.trail.receipts_of_user(at.project, at.person.key, 10),
    "tallies.of_notifications": lambda at: at.store.tallies.of_notifications(
        at.project, [at.world.notification.key], 10
    ),
    "steps.addresses": lambda at: at.store.steps.addresses(at.project, [at.person.device.key]),
    "steps.refused_since": lambda at: at.store.steps.refused_since(at.project, [at.person.key], NOW),
    "steps.facts of users": lambda at: at.store.steps.facts(at.project, _query(users=[at.person.key])),
    "steps.facts of a span": lambda at: at.store.steps.facts(at.project, _query(span=(at.person.key, at.person.key))),
    "steps.deciding": lambda at: _decided_facts(at, _query(users=[at.person.key])),
}


async def read_all(store: Store, project: Key, world: World, person: Person) -> dict[str, str]:
    """What every read answers, as text."""
    reads = READS_BY_ID | READS_BY_KEY
    return {name: repr(await read(Look(store, project, world, person))) for name, read in reads.items()}


def _query(**who: Any) -> FactsQuery:
    asked = {"content": [CONTENT], "events": ["order"], "preferences": True, "zones": True}
    return FactsQuery(categories=["offers"], caps=CapsQuery(0, waiting=True, scoped=True), **asked, **who)


async def _decided_facts(at: Look, query: FactsQuery) -> Any:
    async with at.store.steps.deciding(at.project, query) as deciding:
        return deciding.facts


async def _decisions(at: Look, notification: Key | None = None, user: Key | None = None) -> Any:
    return await at.store.trail.decisions(
        at.project, notification=notification, user=user, reason=None, cursor=None, limit=10
    )


async def _deliveries(at: Look, notification: Key | None = None, user: Key | None = None) -> Any:
    return await at.store.trail.deliveries(
        at.project, notification=notification, user=user, state=None, cursor=None, limit=10
    )
