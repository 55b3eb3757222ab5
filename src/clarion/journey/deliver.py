"""Deliver: what may still leave, and what each outcome means: done, retry, retire, quarantine."""

from collections.abc import Mapping, Sequence

import msgspec

from clarion.model import (
    CHANNEL_OF_KIND,
    Decision,
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
from clarion.ports import (
    Accepted,
    Address,
    BadCredentials,
    DeliverWork,
    Effects,
    Gone,
    NewWork,
    Outgoing,
    ProviderOutcome,
    Quarantined,
    Ready,
    Rejected,
    RetryAfter,
    TooLarge,
)

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 900.0


class Sifted(msgspec.Struct, frozen=True):
    """A batch just before it leaves: what goes, and what does not with its reason."""

    outgoing: list[Outgoing]
    stopped: list[tuple[Ready, Reason]]


def strangers(messages: Sequence[Ready], addresses: Mapping[Key, Address]) -> list[Key]:
    """People whose device belongs to somebody else by now: to themselves under another key, or to a stranger."""
    found = {one.user for one in messages if one.device in addresses and addresses[one.device].user != one.user}
    return sorted(found)


def sift(
    messages: Sequence[Ready],
    notifications: Mapping[Key, Notification],
    addresses: Mapping[Key, Address],
    words: Mapping[tuple[Key, str, str], bool],
    successors: Mapping[Key, Key],
    now: Millis,
) -> Sifted:
    """The last look before a message is handed to a provider, which cannot be undone.

    `words` are consents given or withdrawn since the decision: (user, category, channel) → granted. `successors` are
    people who turned out to be somebody since then; a device that went to anybody else must not show it.
    """
    outgoing: list[Outgoing] = []
    stopped: list[tuple[Ready, Reason]] = []
    for ready in messages:
        address = addresses.get(ready.device)
        person = successors.get(ready.user, ready.user)
        notification = notifications.get(ready.notification)
        if notification is None or notification.cancelled_at is not None:
            stopped.append((ready, Reason.CANCELLED))
        elif address is None or address.user != person:
            stopped.append((ready, Reason.DEVICE_GONE))
        elif words and words.get((person, ready.category, CHANNEL_OF_KIND[address.kind])) is False:
            stopped.append((ready, Reason.OPTED_OUT))
        elif _is_over(ready, now):
            stopped.append((ready, Reason.EXPIRED))
        else:
            outgoing.append(Outgoing(ready, address))
    return Sifted(outgoing, stopped)


def _is_over(ready: Ready, now: Millis) -> bool:
    return is_over(ready.expires_at, ready.attempts, now)


def is_over(expires_at: Millis, attempts: int, now: Millis) -> bool:
    """Whether a message's time to live is over, or its one chance when that is 0."""
    # With a TTL of 0 the message expires at birth; its only chance is the first attempt.
    return now >= expires_at and (attempts > 0 or now - expires_at > FIRST_RETRY_S * 1000)


def settle(
    sifted: Sifted,
    outcomes: Sequence[ProviderOutcome],
    *,
    project: Key,
    kind: DeviceKind,
    decided_at: Millis,
    sent_at: Millis,
    now: Millis,
) -> Effects:
    """What one attempt changes: deliveries move, devices retire or rest, the rest of the batch comes again."""
    settled: list[Outcome] = []
    verdicts: list[DeviceVerdict] = []
    again: dict[Millis, list[Ready]] = {}
    for outgoing, outcome in zip(sifted.outgoing, outcomes, strict=True):
        ready = outgoing.ready
        state, reason, provider_id = meaning(outcome)
        if isinstance(outcome, RetryAfter):
            due = again_at(ready, outcome, now)
            if due is not None:
                again.setdefault(due, []).append(msgspec.structs.replace(ready, attempts=ready.attempts + 1))
            else:
                state, reason = DeliveryState.EXPIRED, Reason.EXPIRED
        elif (told := verdict(outgoing.address, outcome, sent_at)) is not None:
            verdicts.append(told)
        settled.append(
            Outcome(ready.notification, ready.user, ready.device, state, reason, provider_id, ready.attempts + 1)
        )
    settled += [_stopped(ready, reason) for ready, reason in sifted.stopped]
    return Effects(
        outcomes=settled,
        device_verdicts=verdicts,
        revised=_withdrawn(sifted, now),
        work=[
            NewWork(
                project=project,
                job=DeliverWork(kind=kind, decided_at=decided_at, messages=messages),
                due_at=due,
                notification=_one(messages),
            )
            for due, messages in again.items()
        ],
    )


def again_at(ready: Ready, outcome: RetryAfter, now: Millis) -> Millis | None:
    """When it is tried again, rounded up to the second, so that what failed together comes again together.

    None: its time to live is over by then.
    """
    due = now + _wait_ms(ready, outcome)
    return -(-due // 1000) * 1000 if due < ready.expires_at else None


def meaning(outcome: ProviderOutcome) -> tuple[DeliveryState, Reason | None, str | None]:
    """The state, reason and name that a delivery has after an attempt."""
    match outcome:
        case Accepted(provider_id):
            return DeliveryState.ACCEPTED, None, provider_id
        case RetryAfter():
            return DeliveryState.QUEUED, None, None
        case Gone() | Quarantined():
            return DeliveryState.FAILED, Reason.DEVICE_GONE, None
        case TooLarge():
            return DeliveryState.FAILED, Reason.TOO_LARGE, None
        case Rejected():
            return DeliveryState.FAILED, Reason.REJECTED, None
        case BadCredentials():
            return DeliveryState.FAILED, Reason.BAD_CREDENTIALS, None


def verdict(address: Address, outcome: ProviderOutcome, sent_at: Millis) -> DeviceVerdict | None:
    """What an answer says about the address itself."""
    match outcome:
        case Gone(detail, since):
            return DeviceVerdict(address.device, DeviceState.RETIRED, detail, since if since is not None else sent_at)
        case Quarantined(detail):
            return DeviceVerdict(address.device, DeviceState.QUARANTINED, detail, sent_at)
        case _:
            return None


def _wait_ms(ready: Ready, outcome: RetryAfter) -> int:
    if outcome.seconds is not None:
        return int(max(outcome.seconds, 1.0) * 1000)
    backoff = min(FIRST_RETRY_S * 2**ready.attempts, LONGEST_RETRY_S)
    # Jitter of up to a half, from the delivery's own id: spread over the fleet, the same in every replay.
    return int(backoff * (1 + ready.id[-1] / 512) * 1000)


def _stopped(ready: Ready, reason: Reason) -> Outcome:
    state = DeliveryState.EXPIRED if reason is Reason.EXPIRED else DeliveryState.FAILED
    return Outcome(ready.notification, ready.user, ready.device, state, reason, None, ready.attempts)


_WITHDRAWN = {Reason.CANCELLED, Reason.OPTED_OUT}


def _withdrawn(sifted: Sifted, now: Millis) -> list[Decision]:
    """Decisions to send that were taken back in time: nothing of them left in this batch or an earlier attempt."""
    sent = {(out.ready.notification, out.ready.user) for out in sifted.outgoing}
    taken_back = {
        (ready.notification, ready.user): reason
        for ready, reason in sifted.stopped
        if reason in _WITHDRAWN and ready.attempts == 0 and (ready.notification, ready.user) not in sent
    }
    return [
        Decision(notification, user, reason, None, f'[["last look","drop","{reason}"]]', now)
        for (notification, user), reason in taken_back.items()
    ]


def _one(messages: Sequence[Ready]) -> Key | None:
    keys = {message.notification for message in messages}
    return keys.pop() if len(keys) == 1 else None
