"""Candidates whose person turned out to be somebody else while they waited: they go on as that person."""

from collections.abc import Mapping

from clarion.model import Key, Millis, Notification, Verdict, verdict_of
from clarion.ports import Facts, NewWork, PairsWork, SpanWork, Store

_OVERLAP_MS = 60_000
"""The clocks of two machines differ: who was merged so long before a span was cut may be in it."""


async def carried_over(
    store: Store,
    project: Key,
    job: SpanWork | PairsWork,
    notifications: Mapping[Key, Notification],
    facts: Facts,
    now: Millis,
) -> list[NewWork]:
    """Work for those who candidates have become, unless it is decided for them already, or by this job.

    Who was erased has no successor and ends here.
    """
    if isinstance(job, SpanWork):
        pairs = await _out_of_span(store, project, job, notifications)
    else:
        pairs = await _became(store, project, job, facts) - set(job.pairs)
    held = isinstance(job, PairsWork) and job.held
    collected = isinstance(job, PairsWork) and job.collected
    # At its fire people are decided anew whose decision was final before: to send what was taken out of its batch.
    anew = {key for key, one in notifications.items() if held and one.fired_at is not None}
    waiting = [
        pair
        for pair in sorted(pairs, key=lambda pair: pair[1])
        if pair[0] in anew or await _waits(store, project, *pair, held=held)
    ]
    # They may be decided by a job of their own meanwhile: as with what is held, the record is revised.
    further = PairsWork(pairs=waiting, held=True, collected=collected)
    return [NewWork(project=project, job=further, due_at=now)] if waiting else []


async def _became(store: Store, project: Key, job: PairsWork, facts: Facts) -> set[tuple[Key, Key]]:
    present = {recipient.key for recipient in facts.recipients}
    missing = [(notification, user) for notification, user in job.pairs if user not in present]
    successors = await store.users.successors(project, [user for _, user in missing]) if missing else {}
    return {(notification, successors[user]) for notification, user in missing if user in successors}


async def _out_of_span(
    store: Store, project: Key, job: SpanWork, notifications: Mapping[Key, Notification]
) -> set[tuple[Key, Key]]:
    """A span walks over whoever is there; who left it since it was cut may be one whom no span knew."""
    about = notifications.get(job.notification)
    if about is None:
        return set()
    since = (about.send_at or about.created_at) - _OVERLAP_MS
    became = await store.users.merged_since(project, (job.first, job.last), since)
    return {(about.key, user) for user in became.values() if not job.first <= user <= job.last}


async def _waits(store: Store, project: Key, notification: Key, user: Key, *, held: bool) -> bool:
    """Nothing is decided for them; or it was held, and their job names who they were."""
    page = await store.trail.decisions(project, notification=notification, user=user, reason=None, cursor=None, limit=1)
    return all(held and verdict_of(decision.reason) is Verdict.HOLD for decision in page.items)
