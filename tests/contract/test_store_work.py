"""The queue: leased, fenced, at least once."""

import asyncio

import msgspec
import pytest

from clarion.model import DeviceKind
from clarion.ports import AudienceWork, DeliverWork, Effects, EventsWork, Job, NewWork, Ready, SpanWork, Store, queue_of
from contract.support import (
    LEASE_MS,
    NOW,
    claim,
    claim_one,
    new_notification,
    new_project,
    pairs_work,
    put_work,
    soon,
    stolen_lease,
)

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
JOBS: list[Job] = [
    EventsWork(events=[1, 2, 3]),
    AudienceWork(notification=7, cursor=1000),
    SpanWork(notification=7, first=1, last=2**40),
    pairs_work((7, 1), (7, 2)),
    msgspec.structs.replace(pairs_work((7, 1)), held=True),
    DeliverWork(kind=DeviceKind.WEBPUSH, decided_at=NOW, messages=[READY, READY], lane="own"),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
async def test_a_job_comes_back_as_it_was_put(store: Store, job: Job) -> None:
    project = await new_project(store)
    notification = await new_notification(store, project)
    await put_work(store, project, job, notification=notification.key, attempts=3)
    lease = await claim_one(store, queue_of(job, project.key))
    assert lease.job == job
    assert (lease.project, lease.notification, lease.attempts) == (project.key, notification.key, 3)
    assert lease.until == NOW + LEASE_MS


async def test_a_queue_holds_only_its_own(store: Store) -> None:
    project = await new_project(store)
    for job in JOBS:
        await put_work(store, project, job)
    assert len(await claim(store, "decide")) == 3
    assert len(await claim(store, f"deliver.webpush.{project.key}.own")) == 1
    assert await claim(store, f"deliver.webpush.{project.key}.") == []


async def test_jobs_are_claimed_when_due_and_oldest_first(store: Store) -> None:
    project = await new_project(store)
    for user, due in ((1, NOW + 2), (2, NOW), (3, NOW + 1), (4, NOW + 3), (5, NOW)):
        await put_work(store, project, pairs_work((1, user)), due)
    leases = await claim(store, now=NOW + 2)
    assert [lease.job.pairs[0][1] for lease in leases] == [2, 5, 3, 1]  # type: ignore[union-attr]


async def test_a_claim_takes_no_more_than_its_limit(store: Store) -> None:
    project = await new_project(store)
    for user in range(5):
        await put_work(store, project, pairs_work((1, user)))
    first = await store.work.claim("decide", 3, NOW, LEASE_MS)
    second = await store.work.claim("decide", 3, NOW, LEASE_MS)
    assert (len(first), len(second)) == (3, 2)
    assert len({lease.key for lease in first + second}) == 5


async def test_a_leased_job_is_nobody_elses_until_the_lease_runs_out(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    first = await claim_one(store)
    assert await claim(store, now=first.until - 1) == []
    second = await claim_one(store, now=first.until + 1)
    assert (second.key, second.job) == (first.key, first.job)
    assert second.token != first.token


async def test_many_workers_never_claim_the_same_job(store: Store) -> None:
    project = await new_project(store)
    work = [NewWork(project.key, pairs_work((1, user)), NOW) for user in range(40)]
    await store.steps.commit(Effects(work=work))
    claims = await soon(asyncio.gather(*(store.work.claim("decide", 7, NOW, LEASE_MS) for _ in range(8))))
    keys = [lease.key for leases in claims for lease in leases]
    assert len(keys) == len(set(keys))
    rest = await claim(store)
    assert len(keys) + len(rest) == 40


async def test_a_renewed_lease_holds_longer(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    await store.work.renew([lease], lease.until + 60_000)
    assert await claim(store, now=lease.until + 1) == []
    assert await store.steps.commit(Effects(), lease)


async def test_renewing_a_lost_lease_takes_nothing_from_its_new_holder(store: Store) -> None:
    project = await new_project(store)
    lost, held = await stolen_lease(store, project)
    await store.work.renew([lost], held.until + 60_000)
    assert len(await claim(store, now=held.until + 1)) == 1


async def test_a_released_job_comes_back_when_it_is_due_with_one_more_attempt(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    await store.work.release(lease, NOW + 500)
    assert await claim(store, now=NOW + 499) == []
    again = await claim_one(store, now=NOW + 500)
    assert (again.key, again.attempts) == (lease.key, lease.attempts + 1)
    assert not await store.steps.commit(Effects(), lease)


async def test_a_released_job_is_not_ours_any_more(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    await store.work.release(lease, NOW + 500)
    assert not await store.steps.commit(Effects(), lease)
    await store.work.release(lease, NOW + 900)
    assert (await claim_one(store, now=NOW + 500)).attempts == lease.attempts + 1


async def test_releasing_a_lost_lease_takes_nothing_from_its_new_holder(store: Store) -> None:
    project = await new_project(store)
    lost, held = await stolen_lease(store, project)
    await store.work.release(lost, NOW)
    assert await claim(store, now=held.until - 1) == []
    assert await store.steps.commit(Effects(), held)


async def test_a_finished_job_never_comes_back(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    assert await store.steps.commit(Effects(), lease)
    assert await claim(store, now=lease.until + 1) == []
    assert not await store.steps.commit(Effects(), lease)


async def test_a_lease_that_ran_out_still_finishes_if_nobody_took_the_job(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    assert await store.work.waiting() == {"decide": lease.until}
    assert await store.steps.commit(Effects(), lease)


async def test_every_queue_with_a_job_is_waiting_until_its_earliest_is_due(store: Store) -> None:
    project = await new_project(store)
    assert await store.work.waiting() == {}
    lane = f"deliver.webpush.{project.key}.own"
    for job, due in ((JOBS[0], 3), (JOBS[1], 1), (JOBS[5], 9), (JOBS[5], 7), (JOBS[3], 5), (JOBS[2], 6)):
        await put_work(store, project, job, NOW + due)
    assert await store.work.waiting() == {"audience": NOW + 1, "decide": NOW + 5, lane: NOW + 7, "trigger": NOW + 3}


async def test_a_leased_job_is_due_when_its_lease_runs_out(store: Store) -> None:
    """Else a worker would sleep for ever over the job of one that crashed."""
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lease = await claim_one(store)
    assert await store.work.waiting() == {"decide": lease.until}


async def test_backlog_counts_waiting_jobs_by_queue(store: Store) -> None:
    project = await new_project(store)
    assert not any((await store.work.backlog()).values())
    for job in JOBS:
        await put_work(store, project, job, NOW + 1000)
    backlog = {queue: count for queue, count in (await store.work.backlog()).items() if count}
    assert backlog == {"trigger": 1, "audience": 1, "decide": 3, f"deliver.webpush.{project.key}.own": 1}
