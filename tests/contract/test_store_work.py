"""The queue: leased, fenced, at least once."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.model import DeviceKind, Project
from clarion.ports import (
    LATE_MS,
    AudienceWork,
    DeliverWork,
    Effects,
    EventsWork,
    Job,
    NewWork,
    SpanWork,
    Store,
    family_of,
    owner_of,
    queue_of,
)
from contract.support import (
    LEASE_MS,
    NOW,
    READY,
    claim,
    claim_one,
    deliver_work,
    new_notification,
    new_project,
    pairs_work,
    put_work,
    soon,
    stolen_lease,
)

JOBS: list[Job] = [
    EventsWork(events=[1, 2, 3]),
    AudienceWork(notification=7, cursor=1000),
    SpanWork(notification=7, first=1, last=2**40),
    pairs_work((7, 1), (7, 2)),
    msgspec.structs.replace(pairs_work((7, 1)), held=True),
    deliver_work("own", messages=2),
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


async def test_gathering_takes_what_waits_for_the_same_moment_of_a_notification(store: Store) -> None:
    project = await new_project(store)
    one, other = [(await new_notification(store, project)).key for _ in range(2)]

    async def put(user: int, notification: int = one, due_at: int = NOW, attempts: int = 0, **more: object) -> None:
        job = msgspec.structs.replace(pairs_work((notification, user)), **{"held": True, **more})
        await put_work(store, project, job, due_at, notification=notification, attempts=attempts)

    await put(9, due_at=NOW - 2)
    lease = await claim_one(store)
    await put(1, due_at=NOW - 1)
    [held_by_another] = await claim(store, now=NOW - 1)
    for user in (4, 3):
        await put(user)
    await put(2, other)
    await put(5, due_at=NOW + 1)
    await put(6, attempts=1)
    await put(7, held=False)
    await put(8, collected=True)
    gathered = await store.work.gather(lease, NOW, most=3)
    assert gathered == msgspec.structs.replace(
        lease, job=msgspec.structs.replace(lease.job, pairs=[(one, 3), (one, 4), (one, 9)])
    )
    await store.work.release(gathered, NOW)
    await store.work.release(held_by_another, NOW)
    left = [lease.job.pairs for lease in await claim(store, now=NOW + 1)]
    assert sorted(left) == sorted(
        [[(one, 3), (one, 4), (one, 9)], [(one, 1)], [(other, 2)], *([(one, user)] for user in (5, 6, 7, 8))]
    )


async def test_gathering_takes_no_more_than_its_limit(store: Store) -> None:
    project = await new_project(store)
    key = (await new_notification(store, project)).key
    for first in range(0, 10, 2):
        job = msgspec.structs.replace(pairs_work((key, first), (key, first + 1)), held=True)
        await put_work(store, project, job, notification=key)
    [lease] = await store.work.claim("decide", 1, NOW, LEASE_MS)
    assert len((await store.work.gather(lease, NOW, most=7)).job.pairs) == 6
    assert len(await claim(store)) == 2


async def test_a_lost_lease_gathers_nothing(store: Store) -> None:
    project = await new_project(store)
    key = (await new_notification(store, project)).key
    jobs = [msgspec.structs.replace(pairs_work((key, user)), held=True) for user in (1, 2)]
    await put_work(store, project, jobs[0], notification=key)
    lost = await claim_one(store)
    await claim_one(store, now=lost.until + 1)
    await put_work(store, project, jobs[1], notification=key)
    assert await store.work.gather(lost, NOW, most=100) == lost
    assert [lease.job for lease in await claim(store)] == [jobs[1]]


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


async def test_a_job_given_back_without_an_attempt_keeps_its_count(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)), attempts=2)
    await store.work.release(await claim_one(store), NOW + 500, counts=False)
    assert (await claim_one(store, now=NOW + 500)).attempts == 2


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


# --- lanes -----------------------------------------------------------------------------------------------------------


def lane_of(project: Project, lane: str) -> str:
    return queue_of(deliver_work(lane), project.key)


async def test_each_lane_of_each_project_and_kind_is_a_queue(store: Store) -> None:
    one, other = await new_project(store, "one"), await new_project(store, "other")
    for project, lane in ((one, "own"), (one, "other-07"), (other, "own")):
        await put_work(store, project, deliver_work(lane))
    await put_work(store, one, deliver_work("own", DeviceKind.FCM))
    [lease] = await claim(store, lane_of(one, "own"))
    assert (lease.project, lease.job) == (one.key, deliver_work("own"))
    assert len(await store.work.waiting()) == 4


async def test_postponing_a_lane_moves_its_own_free_jobs_that_are_due_sooner(store: Store) -> None:
    project = await new_project(store)
    for lane, due in (("a", NOW - 1), ("a", NOW), ("a", NOW + 900), ("b", NOW)):
        await put_work(store, project, deliver_work(lane), due)
    [held] = await store.work.claim(lane_of(project, "a"), 1, NOW, LEASE_MS)
    await store.work.postpone(lane_of(project, "a"), NOW + 500)
    assert await claim(store, lane_of(project, "a"), NOW + 499) == []
    assert len(await claim(store, lane_of(project, "b"))) == 1
    assert len(await claim(store, lane_of(project, "a"), NOW + 500)) == 1
    assert len(await claim(store, lane_of(project, "a"), NOW + 900)) == 1
    assert await store.steps.commit(Effects(), held)


async def test_hastening_brings_back_what_was_postponed_and_leaves_what_waits_for_something_else(store: Store) -> None:
    one, other = await new_project(store, "one"), await new_project(store, "other")
    armed = NOW + 7 * 86_400_000
    for project, lane, due in (
        (one, "a", NOW + 1),
        (one, "b%", NOW + 60_000),
        (one, "c", armed),
        (other, "a", NOW + 1),
    ):
        await put_work(store, project, deliver_work(lane), due)
    await put_work(store, one, pairs_work((1, 1)), NOW + 1)
    await store.work.hasten(f"deliver.webpush.{one.key}.", NOW, NOW + 60_000)
    assert len(await claim(store, lane_of(one, "a"))) == len(await claim(store, lane_of(one, "b%"))) == 1
    assert (await store.work.waiting())[lane_of(one, "c")] == armed
    assert await claim(store, lane_of(other, "a")) == await claim(store, "decide") == []


async def test_hastening_takes_no_job_from_who_holds_it(store: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, deliver_work("a"))
    held = await claim_one(store, lane_of(project, "a"))
    await store.work.hasten("deliver.", NOW, NOW + 10 * LEASE_MS)
    await store.work.postpone(lane_of(project, "a"), NOW + 10 * LEASE_MS)
    assert await store.work.waiting() == {lane_of(project, "a"): held.until}
    assert await store.steps.commit(Effects(), held)


@settings(max_examples=50)
@given(kind=st.sampled_from(DeviceKind), project=st.integers(1, 2**62), lane=st.text())
def test_a_queue_tells_its_kind_and_project_whatever_its_lane_is_called(
    kind: DeviceKind, project: int, lane: str
) -> None:
    queue = queue_of(deliver_work(lane, kind), project)
    assert (family_of(queue), owner_of(queue)) == (f"deliver.{kind}", project)


@pytest.mark.parametrize("queue", ["trigger", "audience", "decide"])
def test_what_all_projects_share_belongs_to_none(queue: str) -> None:
    assert (family_of(queue), owner_of(queue)) == (queue, None)


async def test_no_job_is_put_off_past_the_moment_when_one_of_its_messages_has_expired(store: Store) -> None:
    project = await new_project(store)
    ends = {"soon": NOW + 5_000, "late": NOW + 90_000}
    for lane, expires_at in (("a", ends["soon"]), ("a", ends["late"])):
        messages = [msgspec.structs.replace(READY, expires_at=at) for at in (expires_at, NOW + 10**6)]
        await put_work(store, project, DeliverWork(kind=DeviceKind.FCM, decided_at=NOW, messages=messages, lane=lane))
    queue = f"deliver.fcm.{project.key}.a"
    await store.work.postpone(queue, NOW + 60_000)
    assert await store.work.waiting() == {queue: ends["soon"] + LATE_MS + 1}
    assert len(await claim(store, queue, NOW + 60_000 - 1)) == 1
    assert len(await claim(store, queue, NOW + 60_000)) == 1


async def test_a_job_whose_messages_have_expired_is_not_put_off(store: Store) -> None:
    project = await new_project(store)
    old = msgspec.structs.replace(READY, expires_at=NOW - 10_000)
    await put_work(store, project, DeliverWork(kind=DeviceKind.FCM, decided_at=NOW, messages=[old], lane="a"))
    await store.work.postpone(f"deliver.fcm.{project.key}.a", NOW + 60_000)
    assert len(await claim(store, f"deliver.fcm.{project.key}.a", NOW)) == 1
