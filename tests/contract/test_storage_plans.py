"""No statement on the way walks a whole table: each is found by the index that was made for it."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clarion.journey.segments.ready_made import READY_MADE
from clarion.model import (
    DAY_MS,
    Delivery,
    DeliveryState,
    DeviceKind,
    DeviceState,
    DeviceVerdict,
    Permission,
    Reason,
)
from clarion.ports import Crowd, Dimension, Effects, FactsQuery, Sent, Slot
from clarion.storage.sqlite import SqliteStore
from contract.support import (
    NOW,
    claim_one,
    consent,
    decision,
    event,
    loss_alert,
    new_armed,
    new_channel,
    new_notification,
    new_project,
    new_users,
    outcome,
    pairs_work,
    push_message,
    put_work,
    receipt,
    register,
    stoppage,
)
from contract.world import World, new_world, read_all

# What may be walked: what is small by nature, and a project's own list, page by page in the order of its key.
SMALL = (
    *("sqlite_sequence", "json_each", "each", "batch", "kept", "CONSTANT", "(subquery", "people", "numbered", "anon_"),
    *("told", "counted"),  # the notifications of a day, and the names that they are counted by
    "walk",  # the names of the queues that hold a job
)
LISTS = (
    "api_key",
    "credential",
    "loss_alert",  # a row for each name that loses more people than usual
    "stoppage",  # a row for each lane that nothing leaves by for now
    "device_quarantined",  # those of all projects, which are few
    "push_node",  # a row for each running gateway
    "definition",
    "notification_span",  # a page of notifications
    "person_span",  # the spans of an audience
    "work_due",  # the backlog, counted in an index
)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every statement of the connections that are opened from now on, with its values."""
    seen: set[str] = set()
    connect = sqlite3.connect

    def listening(*args, **kwargs) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(seen.add)
        return connection

    monkeypatch.setattr(sqlite3, "connect", listening)
    return seen


async def test_every_statement_finds_its_rows_by_an_index(executed: set[str], sqlite_folder: Path) -> None:
    store = SqliteStore(sqlite_folder)
    await store.open()
    executed.clear()
    await _everything(store)
    await store.close()
    plain = sqlite3.connect(sqlite_folder / "clarion.db")
    walks = {line: sql for sql in executed for line in _plan(plain, sql) if _walks(line)}
    assert walks == {}


async def test_what_happened_to_a_batch_of_people_is_found_by_the_people(
    executed: set[str], sqlite_folder: Path
) -> None:
    """By the name of an event it would be everybody's: ten million rows for a batch of a thousand."""
    store = SqliteStore(sqlite_folder)
    await store.open()
    world = await new_world(store, "shop", people=3)
    project, people = world.project.key, [one.key for one in world.people]
    await store.close()
    await store.open()  # as after every start but the first
    executed.clear()
    for one in READY_MADE.values():
        crowd = Crowd("crowd", one().rule, {}, NOW)
        await store.steps.facts(project, FactsQuery(users=people, crowds=[crowd]))
    await store.steps.facts(project, FactsQuery(users=people, events=["order_paid"], events_since=NOW))
    await store.steps.facts(project, FactsQuery(span=(1, 9), events=["order_paid"], events_since=NOW))
    await store.close()
    plain = sqlite3.connect(sqlite_folder / "clarion.db")
    lines = [line for sql in executed for line in _plan(plain, sql)]
    assert [line for line in lines if "event_named" in line] == []
    for table in ("person_event", "person_event_new"):
        assert len([line for line in lines if f"SEARCH {table} USING" in line]) >= 5


async def _everything(store: SqliteStore) -> None:
    """What a server does, in one small world."""
    world = await new_world(store, "shop", people=3)
    project, (first, second, third) = world.project.key, world.people
    await read_all(store, project, world, first)
    many = await new_users(store, await new_project(store, "other"), 40)
    await store.users.ids(project, many)
    await store.events.add(project, [event("u1", id=f"e{n}") for n in range(40)], frozenset({"order"}), NOW)
    device, channel = await new_channel(store)
    for source in (b"1" * 16, None, b"2" * 16):
        [key] = await store.push.add([push_message(device, channel, topic="t", source=source)], NOW)
    await store.push.waiting(device, 0, 10, NOW)
    await store.push.delete(key or 0, channel)
    await store.push.acknowledge([(device, key or 0)])
    await store.push.hello("a" * 32, "node-2", NOW)
    await store.push.gone(device, "node-2")
    await store.push.sweep(NOW)
    await store.push.unregister(device, "c1")
    await store.push.forget(device)
    await put_work(store, world.project, pairs_work((1, 1)))
    lease = await claim_one(store)
    await store.work.renew([lease], NOW + 1)
    await store.work.release(lease, NOW)
    await store.work.waiting()
    await store.work.postpone("decide", NOW + 1)
    await store.work.hasten("dec", NOW, NOW + 2)
    await store.work.backlog()
    stopped = stoppage(project)
    await store.stoppages.put(stopped)
    await store.stoppages.all()
    await store.stoppages.claim_probe(stopped.place, NOW, NOW + 1)
    await store.stoppages.end(stopped.place)
    await store.stoppages.end_kind(project, stopped.kind)
    await store.stoppages.forget(NOW)
    await store.projects.pace(project, stopped.kind, "team", 10, NOW, 1_000)
    await store.devices.end_doubts(project, stopped.kind, NOW)
    await store.devices.retry_doubtful(NOW, NOW, 10)
    await store.trail.cancel(project, world.notification.key, NOW)
    for cursor in (None, "9.9.9"):
        for state in (None, DeliveryState.ACCEPTED):
            await store.trail.deliveries(project, notification=None, user=None, state=state, cursor=cursor, limit=3)
    await store.trail.decisions(project, notification=None, user=None, reason=None, cursor="9.9", limit=3)
    anonymous = await store.users.create_anonymous(project, "anon", NOW)
    await store.users.merge(project, anonymous.key, second.key, NOW)
    await register(store, world.project, second.key, "https://new", installation="i", previous_address="https://old")
    await store.steps.user_span(project, 0, 10, 10)
    await store.idempotency.begin(project, "k", b"", NOW)
    await store.idempotency.finish(project, "k", 200, b"")
    await store.idempotency.abandon(project, "k")
    await store.users.erase(project, third.user_id)
    await _looked_at(store, world)
    await _capped(store, world)
    await _lost(store, world)
    await store.ping()


async def _looked_at(store: SqliteStore, world: World) -> None:
    await store.tallies.lately(world.project.key, NOW, 3)
    await store.tallies.of_notifications(world.project.key, [world.notification.key, 9], 3)
    await _fired(store, world)


async def _capped(store: SqliteStore, world: World) -> None:
    project, person = world.project, world.people[0]
    later = await new_notification(store, project, "later")
    held = decision(later, person.key, Reason.CAP_WAIT, until=NOW + 1)
    await store.steps.commit(Effects(decisions=[held]))
    slots = [Slot(person.key, later.key, NOW, "offers", "marketing", "push")]
    await store.steps.commit(Effects(revised=[decision(later, person.key)], slots=slots))
    await store.steps.commit(Effects(revised=[decision(later, person.key, Reason.CANCELLED)]))
    await store.steps.forget_slots(NOW, 0, 10)


async def _lost(store: SqliteStore, world: World) -> None:
    project, person = world.project, world.people[0]
    await store.consents.append(project.key, [consent(person.key, False)])
    await register(store, project, person.key, person.device.address or "", permission=Permission.DENIED)
    verdict = DeviceVerdict(person.device.key, DeviceState.RETIRED, "gone", NOW)
    await store.steps.commit(Effects(device_verdicts=[verdict], outcomes=[outcome(person.queued, DeliveryState.SENT)]))
    await store.losses.since(project.key, NOW)
    await store.losses.of_user(project.key, person.key)
    await store.losses.touches(project.key, [person.key], NOW)
    counts = await store.losses.reached(project.key, NOW - NOW % DAY_MS)
    assert counts
    await store.losses.put(project.key, 0, counts)
    await store.losses.sums(project.key, Dimension.CATEGORY, 0, NOW)
    await store.losses.put_alerts(project.key, [loss_alert(project.key)])
    await store.losses.alerts()
    await store.losses.forget(project.key, NOW, NOW)


async def _fired(store: SqliteStore, world: World) -> None:
    project, person = world.project, world.people[0]
    armed = await new_armed(store, project)
    await store.trail.fire(project.key, armed.key, NOW)
    await store.steps.changes(project.key, NOW)
    early = Delivery(armed.key, person.key, person.device.key, DeviceKind.WEBPUSH)
    await store.trail.add_receipts([receipt(project, early)], NOW)
    await store.steps.facts(project.key, FactsQuery(users=[person.key], again=[armed.key]))
    await store.steps.facts(project.key, FactsQuery(span=(1, 9), again=[armed.key]))
    for held in (False, True):
        await store.steps.facts(project.key, FactsQuery(users=[person.key], once=[armed.key], held=held))
        await store.steps.facts(project.key, FactsQuery(span=(1, 9), once=[armed.key], held=held))
    await store.users.merged_since(project.key, (1, 9), NOW)
    await store.steps.commit(Effects(revised=[decision(armed, 10**9)]))
    sent = Sent(armed.key, DeviceKind.APNS, [person.key] * 20, list(range(20)), None, NOW)
    await store.steps.commit(Effects(sent=[sent], decisions=[decision(armed, person.key)]))


def _plan(connection: sqlite3.Connection, sql: str) -> Iterator[str]:
    if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", sql):
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
            yield row[3]


def _walks(line: str) -> bool:
    """Whether a line of a plan reads a table from end to end, or all that a project has in it."""
    if line.startswith("SCAN"):
        return not any(small in line for small in (*SMALL, *LISTS))
    whole_project = line.endswith("(project=?)")
    return whole_project and not any(
        small in line for small in (*LISTS, "decision USING PRIMARY", "delivery USING PRIMARY")
    )
