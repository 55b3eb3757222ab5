"""Arming: a batch is made ready ahead, waits as columns, and at the fire only who changed since is taken out."""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress

import msgspec

from clarion.errors import Conflict
from clarion.journey import deliver
from clarion.journey.deliver import Attempt
from clarion.journey.rules import Ruling
from clarion.model import Decision, Delivery, DeliveryState, DeviceVerdict, Key, Millis, Notification, Outcome, Reason
from clarion.ports import (
    Accepted,
    Address,
    ArmedWork,
    Changes,
    DeliverWork,
    Effects,
    NewWork,
    Outgoing,
    PairsWork,
    Prepared,
    ProviderOutcome,
    Ready,
    RetryAfter,
    Sent,
    sole,
    uuid_of,
)

OVERLAP_MS = 30_000
"""A change may be written so long after the time that it bears: transactions last, clocks of two machines differ."""
PAIRS_A_JOB = 1_000
_PREPARED_AGAIN_MS = 60_000
_NOWHERE = ""
"""The address of a message whose device went before it was prepared."""


# --- ahead of the fire -----------------------------------------------------------------------------------------------


def addressed(job: DeliverWork, addresses: Mapping[Key, Address]) -> list[Outgoing]:
    """Messages whose device is still there and still theirs."""
    found = ((ready, addresses.get(ready.device)) for ready in job.messages)
    return [Outgoing(ready, address) for ready, address in found if address is not None and address.user == ready.user]


def armed(
    job: DeliverWork,
    batch: Sequence[Outgoing],
    bodies: Sequence[bytes | ProviderOutcome],
    notifications: Mapping[Key, Notification],
    quiet: Collection[Key],
    project: Key,
    now: Millis,
) -> Effects:
    """The prepared messages as work that waits for the fire; what can never be sent has failed now.

    Whose device is not theirs any more waits without an address: they are decided anew at the fire, when everything
    else that they were to get is taken out too. `quiet`: users with quiet hours of their own.
    """
    prepared: dict[Key, list[tuple[Outgoing, bytes]]] = {}
    again: list[Ready] = []
    failed: list[Outcome] = []
    verdicts: list[DeviceVerdict] = []
    for outgoing, body in zip(batch, bodies, strict=True):
        if isinstance(body, bytes):
            prepared.setdefault(outgoing.ready.notification, []).append((outgoing, body))
        elif (told := deliver.attempted(outgoing.ready, body, now).outcome) is None or isinstance(body, RetryAfter):
            again.append(outgoing.ready)
        else:
            failed.append(told)
            verdicts += deliver.verdict(outgoing.address, body, now)
    for outgoing in _unaddressed(job, batch):
        if outgoing.ready.notification in notifications:
            prepared.setdefault(outgoing.ready.notification, []).append((outgoing, b""))
    work = [_armed_work(job, notifications[key], messages, quiet, project) for key, messages in prepared.items()]
    if again:
        later = msgspec.structs.replace(job, messages=again)
        work.append(
            NewWork(
                project=project,
                job=later,
                due_at=now + _PREPARED_AGAIN_MS,
                notification=sole(one.notification for one in again),
            )
        )
    return Effects(
        deliveries=[Delivery(each.notification, each.user, each.device, job.kind) for each in failed],
        outcomes=failed,
        device_verdicts=verdicts,
        work=work,
    )


def _unaddressed(job: DeliverWork, batch: Sequence[Outgoing]) -> list[Outgoing]:
    """The messages that are not in the batch."""
    kept = {(each.ready.notification, each.ready.device) for each in batch}
    went = (ready for ready in job.messages if (ready.notification, ready.device) not in kept)
    return [Outgoing(ready, Address(ready.device, ready.user, job.kind, _NOWHERE, b"{}")) for ready in went]


def _armed_work(
    job: DeliverWork,
    notification: Notification,
    messages: Sequence[tuple[Outgoing, bytes]],
    quiet: Collection[Key],
    project: Key,
) -> NewWork:
    first = messages[0][0].ready
    details = [_text(outgoing.address.details) for outgoing, _ in messages]
    return NewWork(
        project=project,
        notification=notification.key,
        due_at=notification.armed_until or 0,
        job=ArmedWork(
            kind=job.kind,
            notification=notification.key,
            armed_at=job.decided_at,
            lane=job.lane,
            category=first.category,
            urgency=first.urgency,
            collapse_key=first.collapse_key,
            headers=first.headers,
            users=[outgoing.ready.user for outgoing, _ in messages],
            devices=[outgoing.ready.device for outgoing, _ in messages],
            ids=[uuid_of(outgoing.ready.id) for outgoing, _ in messages],
            addresses=[outgoing.address.address for outgoing, _ in messages],
            details=details[:1] if details.count(details[0]) == len(details) else details,
            bodies=[body for _, body in messages],
            expires_at=notification.armed_until,
            quiet=sorted({outgoing.ready.user for outgoing, _ in messages if outgoing.ready.user in quiet}),
        ),
    )


def _text(details: str | bytes) -> str:
    return details if isinstance(details, str) else details.decode()


# --- at the fire -----------------------------------------------------------------------------------------------------


def fired(notification: Notification) -> Notification:
    """The same, as who fired it sees it. Raises Conflict when it is not on its way."""
    id = notification.id
    if notification.cancelled_at is not None:
        raise Conflict(f"the notification {id} is cancelled")
    if notification.armed_until is None:
        raise Conflict(f'the notification {id} is not armed: "arm" was not set')
    if notification.fired_at is None:
        raise Conflict(f"the notification {id} is not armed any more: it was not fired within seven days")
    return notification


class Parted(msgspec.Struct, frozen=True):
    """An armed batch without those who changed; `again` are (notification, user) that nobody else decides anew."""

    kept: ArmedWork
    left: ArmedWork | None
    again: list[tuple[Key, Key]]
    resting: list[tuple[ArmedWork, Millis]] = []


def set_aside(parted: Parted, notification: Notification, quiet: Mapping[tuple[Key, Key], Ruling]) -> Parted:
    """The same without those who have quiet hours at the fire, by (notification, user).

    They are decided anew, and held with a reason that everybody can read. Who was tried before only waits, and so does
    what has a content key: decided anew it would be a duplicate of itself.
    """
    if not quiet:
        return parted
    kept = parted.kept
    rests = [(notification.key, user) in quiet for user in kept.users]
    aside, goes = taken(kept, rests), taken(kept, [not each for each in rests])
    if not kept.attempts and notification.message.content_key is None:
        again = sorted({*parted.again, *quiet}, key=lambda pair: pair[1])
        return msgspec.structs.replace(parted, kept=goes, again=again)
    untils = [quiet[notification.key, user].until or notification.expires_at for user in aside.users]
    resting = [(taken(aside, [each == until for each in untils]), until) for until in sorted(set(untils))]
    return msgspec.structs.replace(parted, kept=goes, resting=resting)


def part(job: ArmedWork, notification: Notification, changes: Changes) -> Parted:
    """Take out whose devices, consents or very existence changed, and what has no address.

    Who changed well before the fire is decided anew by the catch-up, where that walks over everybody.
    """
    job = msgspec.structs.replace(job, expires_at=notification.expires_at)
    users, devices = changes.users, changes.devices
    same = users.keys().isdisjoint(job.users) and devices.keys().isdisjoint(job.devices)
    if same and _NOWHERE not in job.addresses:
        return Parted(job, None, [])
    messages = zip(job.users, job.devices, job.addresses, strict=True)
    stays = [user not in users and device not in devices and address != _NOWHERE for user, device, address in messages]
    left = taken(job, [not each for each in stays])
    covered_before = (notification.fired_at or 0) - OVERLAP_MS if notification.to.everyone and not job.attempts else 0
    people = {user for user in left.users if users.get(user, covered_before) >= covered_before}
    present = {changes.successors.get(user, user) for user in people}
    again = sorted((notification.key, user) for user in present if user is not None)
    return Parted(taken(job, stays), left, again)


def taken(job: ArmedWork, which: Sequence[bool]) -> ArmedWork:
    """These messages of a batch."""
    return msgspec.structs.replace(
        job,
        users=list(compress(job.users, which)),
        devices=list(compress(job.devices, which)),
        ids=list(compress(job.ids, which)),
        addresses=list(compress(job.addresses, which)),
        details=job.details if len(job.details) == 1 else list(compress(job.details, which)),
        bodies=list(compress(job.bodies, which)),
    )


def settle(
    job: ArmedWork, parted: Parted, attempt: Attempt | None, *, project: Key, sent_at: Millis, now: Millis
) -> Effects:
    """What one attempt changes. Mostly all is accepted, and the deliveries begin, and end, as columns.

    `attempt` None: nobody was left to send to.
    """
    kept, again = parted.kept, decided_anew(project, parted.again, now)
    # Tried before, and on its way no more: whatever is decided now begins anew.
    lost = parted.left if job.attempts else None
    stopped = [] if lost is None else [_stopped(lost, number, Reason.DEVICE_GONE) for number in range(len(lost.users))]
    again += [
        NewWork(project, msgspec.structs.replace(each, waits=False), due, notification=job.notification)
        for each, due in parted.resting
    ]
    if attempt is None:
        return Effects(outcomes=stopped, work=again)
    if not job.attempts and not attempt.held and all(type(outcome) is Accepted for outcome in attempt.outcomes):
        return Effects(sent=[_sent(kept, attempt, sent_at)], work=again)
    settled, verdicts, later = _attempted(attempt, sent_at, now)
    return Effects(
        deliveries=[]
        if job.attempts
        else [Delivery(each.notification, each.user, each.device, job.kind) for each in settled],
        outcomes=settled + stopped,
        device_verdicts=verdicts,
        work=again
        + [
            NewWork(
                project=project,
                job=msgspec.structs.replace(_of_devices(kept, devices), attempts=job.attempts + counts, waits=False),
                due_at=due,
                notification=job.notification,
            )
            for (due, counts), devices in later.items()
        ],
    )


def _sent(kept: ArmedWork, attempt: Attempt, at: Millis) -> Sent:
    ids = [outcome.provider_id for outcome in attempt.outcomes if isinstance(outcome, Accepted)]
    if not any(ids):
        return Sent(kept.notification, kept.kind, kept.users, kept.devices, None, at)
    if isinstance(attempt.sent, Prepared):
        kept = attempt.sent.work
        return Sent(kept.notification, kept.kind, kept.users, kept.devices, ids, at)
    # A gate that probes sends in an order of its own.
    users = [each.ready.user for each in attempt.sent]
    return Sent(kept.notification, kept.kind, users, [each.ready.device for each in attempt.sent], ids, at)


def _attempted(
    attempt: Attempt, sent_at: Millis, now: Millis
) -> tuple[list[Outcome], list[DeviceVerdict], dict[tuple[Millis, int], set[Key]]]:
    """What is said of deliveries and devices; and which devices are tried again when, with what it counts."""
    settled: list[Outcome] = []
    verdicts: list[DeviceVerdict] = []
    later: dict[tuple[Millis, int], set[Key]] = {}
    refused: list[Ready] = []
    for each, outcome in zip(attempt.sent, attempt.outcomes, strict=True):
        after = deliver.attempted(each.ready, outcome, now)
        if after.outcome is None:
            refused.append(each.ready)
            continue
        settled.append(after.outcome)
        if after.again_at is not None:
            later.setdefault((after.again_at, 1), set()).add(each.ready.device)
        verdicts += deliver.verdict(each.address, outcome, sent_at)
    for held, until in ((attempt.held, attempt.held_until), (refused, attempt.refused_until)):
        if held:
            due = deliver.comes_again(held, until, now)
            later.setdefault((due, 0), set()).update(ready.device for ready in held)
    return settled, verdicts, later


def _of_devices(job: ArmedWork, devices: Collection[Key]) -> ArmedWork:
    return taken(job, [device in devices for device in job.devices])


# --- what never goes out ---------------------------------------------------------------------------------------------


def called_off(job: ArmedWork, reason: Reason, because: str, now: Millis) -> Effects:
    """Nothing of a batch goes out: cancelled, or never fired in time. Decided to send, and taken back."""
    gates = f'[["{because}","drop","{reason}"]]'
    if job.attempts:
        return Effects(outcomes=[_stopped(job, number, reason) for number in range(len(job.users))])
    users = dict.fromkeys(job.users)
    return Effects(revised=[Decision(job.notification, user, reason, None, gates, now) for user in users])


def come_to_nothing(job: ArmedWork, reason: Reason) -> Effects:
    """It was fired, and did not leave: its time to live was over (`expired`), or it was `superseded`."""
    numbers = range(len(job.users))
    return Effects(
        deliveries=[]
        if job.attempts
        else [Delivery(job.notification, job.users[number], job.devices[number], job.kind) for number in numbers],
        outcomes=[_stopped(job, number, reason) for number in numbers],
    )


def decided_anew(project: Key, pairs: Sequence[tuple[Key, Key]], now: Millis) -> list[NewWork]:
    """Work for people who changed since they were decided; sorted by user."""
    return [
        NewWork(project=project, job=PairsWork(pairs=chunk, held=True), due_at=now, notification=chunk[0][0])
        for chunk in (list(pairs[at : at + PAIRS_A_JOB]) for at in range(0, len(pairs), PAIRS_A_JOB))
    ]


def _stopped(job: ArmedWork, number: int, reason: Reason) -> Outcome:
    state = DeliveryState.EXPIRED if reason is Reason.EXPIRED else DeliveryState.FAILED
    return Outcome(job.notification, job.users[number], job.devices[number], state, reason, None, job.attempts)
