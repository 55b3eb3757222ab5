"""Everything that one step wants written, in the caller's transaction: whoever lost the lease writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import msgspec
from sqlalchemy import Connection, select

from clarion.model import (
    Decision,
    Delivery,
    DeliveryState,
    DeviceKind,
    DeviceState,
    DeviceVerdict,
    Key,
    Millis,
    Notification,
    Outcome,
    Reason,
)
from clarion.ports import Effects, Lease
from clarion.storage.arming import hastened, write_sent
from clarion.storage.audiences import write_listed
from clarion.storage.collecting import write_collected
from clarion.storage.database import Dialect, Row, columns_of
from clarion.storage.losses import add_retired
from clarion.storage.merging import aliases
from clarion.storage.requests import Request, encode_request
from clarion.storage.runs import write_runs
from clarion.storage.schema import decision, delivery, device, gate_record, notification, person, sent_content
from clarion.storage.slots import write_slots
from clarion.storage.updating import supersede
from clarion.storage.work import add_work, finish, without

_NOTIFICATION = columns_of(notification)
_DECISION = columns_of(decision)
_GATES = columns_of(gate_record)
_DELIVERY = columns_of(delivery)
_SENT = columns_of(sent_content)
_OUTCOME = columns_of(
    delivery, "project", "notification", "person", "device", "state", "reason", "provider_id", "attempts", "updated_at"
)
_VERDICT = columns_of(device, "key", "project", "state", "state_reason", "registered_at", "updated_at")

# An enum's own `.value` costs as much as the row that it goes into.
_WORDS = {None: None} | {each: each.value for each in (*Reason, *DeviceKind)}
_STATES = [state.value for state in DeliveryState]

# What has reached a push service was sent, whatever is decided afterwards.
_REVISE = """
INSERT INTO decision (project, notification, person, reason, until, gates, at, revision)
SELECT project, notification, person, reason, until, gates, at, revision FROM batch WHERE true
ON CONFLICT (project, notification, person) DO UPDATE SET
    reason = excluded.reason, until = excluded.until, gates = excluded.gates, at = excluded.at,
    revision = decision.revision + 1
WHERE excluded.reason = 'send' OR NOT EXISTS (
    SELECT 1 FROM delivery d WHERE d.project = decision.project AND d.notification = decision.notification
    AND d.person = decision.person AND d.state >= 3
)
"""
# Who is decided anew may have a delivery that came to nothing. It is on its way again, as who decides next must see.
_QUEUE = f"""
INSERT INTO delivery ({", ".join(_DELIVERY)}) SELECT {", ".join(_DELIVERY)} FROM batch WHERE true
ON CONFLICT (project, notification, person, device) DO UPDATE SET
    state = excluded.state, reason = NULL, updated_at = excluded.updated_at
WHERE delivery.state IN ({int(DeliveryState.FAILED)}, {int(DeliveryState.EXPIRED)})
"""  # noqa: S608 - our own words
# A state only moves forward: a receipt may have been faster than the outcome.
_LEARN = """
UPDATE delivery SET
    state = CASE WHEN batch.state > delivery.state THEN batch.state ELSE delivery.state END,
    reason = CASE WHEN batch.state >= delivery.state THEN batch.reason ELSE delivery.reason END,
    provider_id = COALESCE(batch.provider_id, delivery.provider_id),
    attempts = CASE WHEN batch.attempts > delivery.attempts THEN batch.attempts ELSE delivery.attempts END,
    updated_at = batch.updated_at
FROM batch
WHERE delivery.project = batch.project AND delivery.notification = batch.notification
AND delivery.person = batch.person AND delivery.device = batch.device
"""
# `registered_at` of the batch is when the message was sent: a word about an older registration proves nothing.
_JUDGE = """
UPDATE device SET state = batch.state, state_reason = batch.state_reason, updated_at = batch.updated_at
FROM batch
WHERE device.key = batch.key AND device.project = batch.project
AND device.registered_at <= batch.registered_at AND device.state IN ('active', 'quarantined')
"""
_SEND = """
INSERT INTO sent_content (project, person, hash, at) SELECT project, person, hash, at FROM batch WHERE true
ON CONFLICT (person, hash) DO UPDATE SET at = excluded.at
"""

# Somebody else may have said it since: that stays.
_UNSEND = """
DELETE FROM sent_content WHERE (project, person, hash, at) IN (SELECT project, person, hash, at FROM batch)
"""


def write(conn: Connection, dialect: Dialect, effects: Effects, lease: Lease | None, now: Millis) -> bool:
    """Finish the lease and write; False and nothing written when it was lost."""
    if lease is not None and not finish(conn, lease):
        return False
    skipped = _add_notifications(conn, dialect, effects.notifications)
    project = _project_of(conn, effects, lease)
    if project is not None:
        _write_trail(conn, dialect, project, effects, _moment(effects, now))
    jobs = without(effects.work, skipped) if skipped else effects.work
    add_work(conn, dialect, hastened(conn, jobs, now))
    return True


def _write_trail(conn: Connection, dialect: Dialect, project: Key, effects: Effects, at: Millis) -> None:
    effects = _about_those_present(conn, dialect, project, effects)
    gates = _keep_gates(conn, dialect, project, (*effects.decisions, *effects.revised))
    if effects.decisions:
        dialect.insert(conn, "decision", _DECISION, _decisions(project, effects.decisions, gates))
    if effects.revised:
        dialect.apply(conn, _REVISE, _DECISION, _decisions(project, effects.revised, gates))
    if effects.deliveries:
        queued = [
            (project, each.notification, each.user, each.device, _WORDS[each.kind], 0, None, None, 0, at)
            for each in effects.deliveries
        ]
        if effects.revised:
            dialect.apply(conn, _QUEUE, _DELIVERY, queued)
        else:
            dialect.insert(conn, "delivery", _DELIVERY, queued)
    if effects.sent:
        write_sent(conn, dialect, project, effects.sent, at)
    if effects.outcomes:
        _learn(conn, dialect, project, effects.outcomes, at)
    if effects.device_verdicts:
        _judge(conn, dialect, project, effects.device_verdicts, at)
    if effects.unsent_content:
        dialect.apply(conn, _UNSEND, _SENT, [(project, *each) for each in sorted(effects.unsent_content)])
    if effects.sent_content:
        reserved = [(project, user, content, at) for user, content in sorted(set(effects.sent_content))]
        dialect.apply(conn, _SEND, _SENT, reserved)
    write_listed(conn, dialect, project, effects, at)
    write_runs(conn, dialect, project, effects, at)
    write_slots(conn, dialect, project, effects)
    write_collected(conn, dialect, project, effects)


def _about_those_present(conn: Connection, dialect: Dialect, project: Key, effects: Effects) -> Effects:
    """Of what was on its way for people who are merged or erased by now: theirs as they are, and nothing."""
    begun = effects.deliveries if effects.outcomes else ()  # others were decided while their people were held
    users = sorted({each.user for each in effects.revised} | {each.user for each in begun})
    if not users:
        return effects
    rest = f"FROM person WHERE +project = ? AND key {dialect.within('bigint')}"
    there = {key: key for (key,) in dialect.rows(conn, ("key",), rest, project, dialect.listed(users))}
    if len(there) == len(users):
        return effects
    there |= aliases(conn, project, [user for user in users if user not in there])
    revised = {
        (each.notification, there[each.user]): msgspec.structs.replace(each, user=there[each.user])
        for each in effects.revised
        if each.user in there
    }
    moved = [msgspec.structs.replace(each, user=there[each.user]) for each in begun if each.user in there]
    return msgspec.structs.replace(
        effects, revised=list(revised.values()), deliveries=moved if begun else effects.deliveries
    )


def _add_notifications(conn: Connection, dialect: Dialect, new: Sequence[Notification]) -> set[Key]:
    """Store those whose id is new; the keys of the others."""
    if not new:
        return set()
    dialect.insert(conn, "notification", _NOTIFICATION, [_notification(each) for each in new])
    keys = [each.key for each in new]
    stored = set(conn.execute(select(notification.c.key).where(notification.c.key.in_(keys))).scalars())
    for each in new:
        if each.update is not None and each.key in stored:
            supersede(conn, each, each.update)
    return set(keys) - stored


def _notification(new: Notification) -> Row:
    request = encode_request(Request.of(new))
    times = (new.created_at, new.send_at, new.cancelled_at)
    origin = (new.automation, new.event, new.armed_until, new.fired_at)
    campaign = (new.campaign, new.paused_at)
    updates = None if new.update is None else new.update.first
    return (new.key, new.project, new.id, request, *times, *origin, updates, new.updated_by, *campaign)


def _keep_gates(conn: Connection, dialect: Dialect, project: Key, decisions: Sequence[Decision]) -> dict[str, int]:
    """The hash of each text, which is stored once; in order of hashes, so that no two writers wait for each other."""
    hashes = {text: gates_hash(text) for text in {each.gates for each in decisions}}
    if hashes:
        dialect.insert(conn, "gate_record", _GATES, sorted((project, key, text) for text, key in hashes.items()))
    return hashes


def gates_hash(text: str) -> int:
    """63 bits, which every engine indexes cheaply."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def _decisions(project: Key, decisions: Sequence[Decision], gates: Mapping[str, int]) -> list[Row]:
    return [
        (project, each.notification, each.user, _WORDS[each.reason], each.until, gates[each.gates], each.at, 0)
        for each in decisions
    ]


def _learn(conn: Connection, dialect: Dialect, project: Key, outcomes: Sequence[Outcome], at: Millis) -> None:
    rows = _outcomes(project, outcomes, at)
    if dialect.apply(conn, _LEARN, _OUTCOME, rows) == len(rows):
        return
    present = aliases(conn, project, {each.user for each in outcomes})
    moved = [msgspec.structs.replace(each, user=present[each.user]) for each in outcomes if each.user in present]
    if moved:  # the user was merged while this was on its way
        dialect.apply(conn, _LEARN, _OUTCOME, _outcomes(project, moved, at))


def _outcomes(project: Key, outcomes: Sequence[Outcome], at: Millis) -> list[Row]:
    """One row a delivery."""
    return [
        (
            project,
            each.notification,
            each.user,
            each.device,
            _STATES[each.state],
            _WORDS.get(each.reason),
            each.provider_id,
            each.attempts,
            at,
        )
        for each in _furthest(outcomes)
    ]


def _furthest(outcomes: Sequence[Outcome]) -> Iterable[Outcome]:
    """Of several attempts at one delivery in one step, the one that came furthest."""
    if len({each.device for each in outcomes}) == len(outcomes):
        return outcomes
    best: dict[tuple[Key, Key, Key], Outcome] = {}
    for each in outcomes:
        delivered = (each.notification, each.user, each.device)
        if delivered not in best or each.state >= best[delivered].state:
            best[delivered] = each
    return best.values()


def _judge(conn: Connection, dialect: Dialect, project: Key, verdicts: Sequence[DeviceVerdict], at: Millis) -> None:
    """Of two verdicts about one device, the graver counts."""
    gravest: dict[Key, DeviceVerdict] = {}
    for each in verdicts:
        if each.device not in gravest or each.state is DeviceState.RETIRED:
            gravest[each.device] = each
    rows = [(key, project, each.state.value, each.reason, each.sent_at, at) for key, each in gravest.items()]
    add_retired(conn, dialect, _VERDICT, rows)
    dialect.apply(conn, _JUDGE, _VERDICT, rows)


def _moment(effects: Effects, now: Millis) -> Millis:
    """When the step happened: its decisions know, else the store's own clock."""
    return max((each.at for each in (*effects.decisions, *effects.revised)), default=now)


def _project_of(conn: Connection, effects: Effects, lease: Lease | None) -> Key | None:
    """The one project that a step writes for; None when what it names is gone."""
    if lease is not None:
        return lease.project
    own = [*(new.project for new in effects.notifications[:1]), *(new.project for new in effects.work[:1])]
    if own:
        return own[0]
    told: list[Decision | Delivery | Outcome] = [
        *effects.decisions[:1],
        *effects.revised[:1],
        *effects.deliveries[:1],
        *effects.outcomes[:1],
    ]
    owners = [
        *(select(notification.c.project).where(notification.c.key == each.notification) for each in told),
        *(select(device.c.project).where(device.c.key == each.device) for each in effects.device_verdicts[:1]),
        *(select(person.c.project).where(person.c.key == user) for user, _ in effects.sent_content[:1]),
    ]
    return conn.execute(owners[0]).scalar() if owners else None
