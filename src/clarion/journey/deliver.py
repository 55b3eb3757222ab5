"""Deliver: what may still leave, and what each outcome means: done, retry, retire, quarantine."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from clarion.journey.rules import PAUSED_AGAIN_MS, Ruling, is_withdrawal
from clarion.model import (
    CHANNEL_OF_KIND,
    Decision,
    DeliveryState,
    DeviceState,
    DeviceVerdict,
    Key,
    Millis,
    Notification,
    Outcome,
    Reason,
)
from clarion.ports import (
    LATE_MS,
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
    sole,
)

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 900.0


class Sifted(msgspec.Struct, frozen=True):
    """A batch just before it leaves: what goes, what does not with its reason, and what waits until when."""

    outgoing: list[Outgoing]
    stopped: list[tuple[Ready, Reason]]
    resting: list[tuple[Ready, Millis, Reason]] = []


def set_aside(sifted: Sifted, quiet: Mapping[tuple[Key, Key], Ruling]) -> Sifted:
    """The same without those who have quiet hours by now, by (notification, user)."""
    if not quiet:
        return sifted
    outgoing: list[Outgoing] = []
    stopped, resting = list(sifted.stopped), list(sifted.resting)
    for each in sifted.outgoing:
        ruling = quiet.get((each.ready.notification, each.ready.user))
        if ruling is None:
            outgoing.append(each)
        elif ruling.until is None:
            stopped.append((each.ready, Reason.EXPIRED))
        else:
            resting.append((each.ready, ruling.until, Reason.QUIET_HOURS))
    return Sifted(outgoing, stopped, resting)


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
    pointless: Collection[tuple[Key, Key]],
    now: Millis,
) -> Sifted:
    """The last look before a message is handed to a provider, which cannot be undone.

    `words` are consents given or withdrawn since the decision: (user, category, channel) → granted. `successors` are
    people who turned out to be somebody since then; a device that went to anybody else must not show it. `pointless`:
    (notification, user) whose condition does not hold any more.
    """
    outgoing: list[Outgoing] = []
    stopped: list[tuple[Ready, Reason]] = []
    resting: list[tuple[Ready, Millis, Reason]] = []
    for ready in messages:
        address = addresses.get(ready.device)
        person = successors.get(ready.user, ready.user)
        notification = notifications.get(ready.notification)
        if notification is None or notification.cancelled_at is not None:
            stopped.append((ready, Reason.CANCELLED))
        elif notification.updated_by is not None:
            stopped.append((ready, Reason.SUPERSEDED))
        elif address is None or address.user != person:
            stopped.append((ready, Reason.DEVICE_GONE))
        elif words and _is_refused(words, ready, person, address) and not is_withdrawal(notification):
            stopped.append((ready, Reason.OPTED_OUT))
        elif pointless and (ready.notification, ready.user) in pointless:
            stopped.append((ready, Reason.IRRELEVANT))
        elif _is_over(ready, now):
            stopped.append((ready, Reason.EXPIRED))
        elif notification.is_paused:  # beside others: what is all of one notification is set aside as a whole
            resting.append((ready, now + PAUSED_AGAIN_MS, Reason.PAUSED))
        else:
            outgoing.append(Outgoing(ready, address))
    return Sifted(outgoing, stopped, resting)


def _is_refused(words: Mapping[tuple[Key, str, str], bool], ready: Ready, person: Key, address: Address) -> bool:
    return words.get((person, ready.category, CHANNEL_OF_KIND[address.kind])) is False


def _is_over(ready: Ready, now: Millis) -> bool:
    return is_over(ready.expires_at, ready.attempts, now)


def is_over(expires_at: Millis, attempts: int, now: Millis) -> bool:
    """Whether a message's time to live is over, or its one chance when that is 0."""
    return now >= expires_at and (attempts > 0 or now - expires_at > LATE_MS)


class Attempt(msgspec.Struct, frozen=True):
    """What became of a batch at its gate: what was sent, with its outcomes in order, and what was not.

    The rest comes again at `held_until`, what was refused for our credentials at `refused_until`.
    """

    sent: Sequence[Outgoing]
    outcomes: Sequence[ProviderOutcome]
    held: Sequence[Ready]
    held_until: Millis
    refused_until: Millis


def comes_again(messages: Sequence[Ready], until: Millis, now: Millis) -> Millis:
    """When messages that may not leave before `until` are looked at: earlier where one expires, so that it is said."""
    end = min(ready.expires_at for ready in messages) + LATE_MS + 1
    return until if end <= now else min(until, end)


def settle(
    sifted: Sifted, attempt: Attempt, *, project: Key, job: DeliverWork, sent_at: Millis, now: Millis
) -> Effects:
    """What one attempt changes: deliveries move, devices retire or rest, the rest of the batch comes again.

    What our credentials were refused for is held like what was not sent at all: it was no attempt, nothing is said
    of the delivery or the device.
    """
    settled: list[Outcome] = []
    verdicts: list[DeviceVerdict] = []
    again: dict[Millis, list[Ready]] = {}
    refused: list[Ready] = []
    for outgoing, outcome in zip(attempt.sent, attempt.outcomes, strict=True):
        ready = outgoing.ready
        after = attempted(ready, outcome, now)
        if after.outcome is None:
            refused.append(ready)
            continue
        settled.append(after.outcome)
        if after.again_at is not None:
            again.setdefault(after.again_at, []).append(msgspec.structs.replace(ready, attempts=ready.attempts + 1))
        if after.outcome.state is DeliveryState.FAILED:
            verdicts += verdict(outgoing.address, outcome, sent_at)
    for held, until in ((attempt.held, attempt.held_until), (refused, attempt.refused_until)):
        if held:
            again.setdefault(comes_again(held, until, now), []).extend(held)
    for ready, until, _ in sifted.resting:
        again.setdefault(until, []).append(ready)
    settled += [_stopped(ready, reason) for ready, reason in sifted.stopped]
    settled += [_rests(ready, reason) for ready, _, reason in sifted.resting]
    return Effects(
        outcomes=settled,
        device_verdicts=verdicts,
        revised=_withdrawn(sifted, now),
        work=[
            NewWork(
                project=project,
                job=msgspec.structs.replace(job, messages=messages),
                due_at=due,
                notification=sole(message.notification for message in messages),
            )
            for due, messages in again.items()
        ],
    )


_REASONS: Final[dict[type[ProviderOutcome], Reason]] = {
    Gone: Reason.DEVICE_GONE,
    Quarantined: Reason.DEVICE_GONE,
    TooLarge: Reason.TOO_LARGE,
    Rejected: Reason.REJECTED,
}


class After(msgspec.Struct, frozen=True, gc=False):
    """What an attempt came to. Of a message whose credentials were refused nothing is said; others may come again."""

    outcome: Outcome | None
    again_at: Millis | None


def attempted(ready: Ready, outcome: ProviderOutcome, now: Millis) -> After:
    """The meaning of one answer for the delivery. Moments are rounded up: what failed together comes again together."""
    if isinstance(outcome, Accepted):
        return After(_outcome(ready, DeliveryState.ACCEPTED, None, outcome.provider_id), None)
    if isinstance(outcome, BadCredentials):
        return After(None, None)
    if not isinstance(outcome, RetryAfter):
        return After(_outcome(ready, DeliveryState.FAILED, _REASONS[type(outcome)]), None)
    due = now + _wait_ms(ready, outcome)
    if due < ready.expires_at:
        return After(_outcome(ready, DeliveryState.QUEUED, None), -(-due // 1000) * 1000)
    return After(_outcome(ready, DeliveryState.EXPIRED, Reason.EXPIRED), None)


def _outcome(ready: Ready, state: DeliveryState, reason: Reason | None, provider_id: str | None = None) -> Outcome:
    return Outcome(ready.notification, ready.user, ready.device, state, reason, provider_id, ready.attempts + 1)


def verdict(address: Address, outcome: ProviderOutcome, sent_at: Millis) -> list[DeviceVerdict]:
    """What an answer says about the address itself, if anything."""
    match outcome:
        case Gone(detail, since):
            died_at = since if since is not None else sent_at
            return [DeviceVerdict(address.device, DeviceState.RETIRED, detail, died_at)]
        case Quarantined(detail):
            return [DeviceVerdict(address.device, DeviceState.QUARANTINED, detail, sent_at)]
        case _:
            return []


def _wait_ms(ready: Ready, outcome: RetryAfter) -> int:
    if outcome.seconds is not None:
        return int(max(outcome.seconds, 1.0) * 1000)
    backoff = min(FIRST_RETRY_S * 2**ready.attempts, LONGEST_RETRY_S)
    # Jitter of up to a half, from the delivery's own id: spread over the fleet, the same in every replay.
    return int(backoff * (1 + ready.id[-1] / 512) * 1000)


def _stopped(ready: Ready, reason: Reason) -> Outcome:
    state = DeliveryState.EXPIRED if reason is Reason.EXPIRED else DeliveryState.FAILED
    return Outcome(ready.notification, ready.user, ready.device, state, reason, None, ready.attempts)


def _rests(ready: Ready, reason: Reason) -> Outcome:
    """It stays queued, and says why."""
    state = DeliveryState.QUEUED
    return Outcome(ready.notification, ready.user, ready.device, state, reason, None, ready.attempts)


_WITHDRAWN = {Reason.CANCELLED, Reason.SUPERSEDED, Reason.OPTED_OUT, Reason.IRRELEVANT}


def _withdrawn(sifted: Sifted, now: Millis) -> list[Decision]:
    """Decisions to send that were taken back in time: nothing of them left in this batch or an earlier attempt."""
    if not sifted.stopped:
        return []
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
