"""Candidates whose person turned out to be somebody else while they waited: they go on as that person."""

from clarion.model import Key, Millis, Verdict, verdict_of
from clarion.ports import Facts, NewWork, PairsWork, SpanWork, Store


async def carried_over(
    store: Store, project: Key, job: SpanWork | PairsWork, facts: Facts, now: Millis
) -> list[NewWork]:
    """Work for those who named candidates have become, unless it is decided for them already.

    A span needs none: it walks over whoever is there. Who was erased has no successor and ends here.
    """
    if isinstance(job, SpanWork):
        return []
    present = {recipient.key for recipient in facts.recipients}
    missing = [(notification, user) for notification, user in job.pairs if user not in present]
    if not missing:
        return []
    successors = await store.users.successors(project, [user for _, user in missing])
    pairs = {(notification, successors[user]) for notification, user in missing if user in successors}
    waiting = [pair for pair in sorted(pairs, key=lambda pair: pair[1]) if await _undecided(store, project, *pair)]
    further = PairsWork(pairs=waiting, held=job.held, collected=job.collected)
    return [NewWork(project=project, job=further, due_at=now)] if waiting else []


async def _undecided(store: Store, project: Key, notification: Key, user: Key) -> bool:
    page = await store.trail.decisions(project, notification=notification, user=user, reason=None, cursor=None, limit=1)
    return all(verdict_of(decision.reason) is Verdict.HOLD for decision in page.items)
