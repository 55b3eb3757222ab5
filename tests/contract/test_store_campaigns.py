"""Campaigns in a store: one of those who change it at once succeeds, and no job is left behind by a resume."""

import asyncio

import msgspec

from clarion.model import (
    Audience,
    Campaign,
    CampaignGoal,
    CampaignRecord,
    CampaignState,
    Message,
    Notification,
    Project,
)
from clarion.ports import AudienceWork, CampaignRuns, Effects, NewWork, Store
from contract.support import NOW, new_project

LEASE_MS = 15_000


def record(project: Project, name: str = "spring", **more: object) -> CampaignRecord:
    campaign = Campaign(name=name, to=Audience(everyone=True), notification=Message(title="Hi"))
    told = {"project": project.key, "campaign": campaign, "state": CampaignState.DRAFT, "number": 1, "created_at": NOW}
    return CampaignRecord(**(told | more))  # type: ignore[arg-type]


async def with_run(store: Store, project: Project) -> tuple[CampaignRecord, Notification]:
    """A running campaign whose audience is still to be cut."""
    draft = record(project)
    await store.campaigns.add(draft)
    [key] = await store.trail.reserve(1)
    run = Notification(
        key=key,
        id=f"{key:032}",
        project=project.key,
        message=draft.campaign.notification,
        to=draft.campaign.to,
        created_at=NOW,
        campaign="spring",
    )
    work = [NewWork(project=project.key, job=AudienceWork(notification=key), due_at=NOW, notification=key)]
    running = msgspec.structs.replace(draft, state=CampaignState.RUNNING, open=(key,), last=key, changed=1)
    assert await store.campaigns.change(draft, running, Effects(notifications=[run], work=work), None, NOW)
    return running, run


async def test_one_of_those_who_change_it_at_once_succeeds(store: Store) -> None:
    project = await new_project(store)
    draft = record(project)
    assert await store.campaigns.add(draft)
    assert not await store.campaigns.add(draft)

    async def change(turn: int) -> bool:
        [key] = await store.trail.reserve(1)
        run = Notification(
            key=key, id=f"{turn:032}", project=project.key, message=Message(title="Hi"), to=Audience(), created_at=NOW
        )
        after = msgspec.structs.replace(draft, runs=turn, changed=1)
        return await store.campaigns.change(draft, after, Effects(notifications=[run]), None, NOW)

    changed = await asyncio.gather(*(change(turn) for turn in range(1, 9)))
    assert changed.count(True) == 1
    found = await store.campaigns.get(project.key, "spring")
    assert found is not None
    assert (found.runs, found.changed) == (changed.index(True) + 1, 1)
    made = await store.trail.notifications(project.key, None, 10)
    assert [one.id for one in made.items] == [f"{found.runs:032}"]
    assert not await store.campaigns.delete(draft)
    assert await store.campaigns.delete(found)


async def test_what_is_due_or_running_of_all_projects(store: Store) -> None:
    projects = [await new_project(store, name) for name in ("one", "two")]
    for project in projects:
        for name, state, due_at in (("a", "scheduled", NOW), ("b", "scheduled", NOW + 1), ("c", "running", None)):
            await store.campaigns.add(record(project, name, state=CampaignState(state), due_at=due_at))
    assert sorted((one.project, one.campaign.name) for one in await store.campaigns.due(NOW, 10)) == [
        (project.key, "a") for project in projects
    ]
    assert [one.campaign.name for one in await store.campaigns.due(NOW + 1, 3)][2] == "b"
    assert sorted((one.project, one.campaign.name) for one in await store.campaigns.running()) == [
        (project.key, "c") for project in projects
    ]
    page = await store.campaigns.page(projects[0].key, None, 2)
    assert [one.campaign.name for one in page.items] == ["a", "b"]
    rest = await store.campaigns.page(projects[0].key, page.next_cursor, 2)
    assert ([one.campaign.name for one in rest.items], rest.next_cursor) == (["c"], None)


async def test_a_job_that_is_put_aside_while_it_is_resumed_is_not_left_behind(store: Store) -> None:
    """In any order: whoever comes second knows of the first."""
    project = await new_project(store)
    running, _ = await with_run(store, project)
    now = NOW
    for _ in range(25):
        now += LEASE_MS
        [lease] = await store.work.claim("audience", 1, now, LEASE_MS)
        paused = msgspec.structs.replace(running, state=CampaignState.PAUSED, changed=running.changed + 1)
        assert await store.campaigns.change(running, paused, Effects(), CampaignRuns.PAUSE, now)
        running = msgspec.structs.replace(paused, state=CampaignState.RUNNING, changed=paused.changed + 1)
        await asyncio.gather(
            store.work.set_aside(lease, now),
            store.campaigns.change(paused, running, Effects(), CampaignRuns.RESUME, now),
        )
        assert (await store.work.waiting())["audience"] <= now


async def test_what_is_set_aside_comes_back_when_it_was_due(store: Store) -> None:
    project = await new_project(store)
    running, run = await with_run(store, project)
    later = NewWork(project=project.key, job=AudienceWork(notification=run.key), due_at=NOW + 500, notification=run.key)
    other = msgspec.structs.replace(later, notification=None, due_at=NOW + 600)
    await store.steps.commit(Effects(work=[later, other]))
    paused = msgspec.structs.replace(running, state=CampaignState.PAUSED, changed=2)
    await store.campaigns.change(running, paused, Effects(), CampaignRuns.PAUSE, NOW)
    assert await store.work.claim("audience", 9, NOW + 599, LEASE_MS) == []
    assert len(await store.work.claim("audience", 9, NOW + 600, 0)) == 1  # somebody else's goes on
    resumed = msgspec.structs.replace(paused, state=CampaignState.RUNNING, changed=3)
    await store.campaigns.change(paused, resumed, Effects(), CampaignRuns.RESUME, NOW + 10)
    assert len(await store.work.claim("audience", 9, NOW + 499, LEASE_MS)) == 1
    assert len(await store.work.claim("audience", 9, NOW + 500, LEASE_MS)) == 1
    assert await store.campaigns.unfinished(project.key, [run.key, 0]) == {run.key}


async def test_nothing_of_another_project_is_counted_or_paused(store: Store) -> None:
    ours, theirs = await new_project(store, "ours"), await new_project(store, "theirs")
    running, run = await with_run(store, theirs)
    foreign = record(ours, open=(run.key,))
    await store.campaigns.add(foreign)
    after = msgspec.structs.replace(foreign, changed=1)
    for runs in (CampaignRuns.PAUSE, CampaignRuns.CANCEL):
        assert await store.campaigns.change(foreign, after, Effects(), runs, NOW)
        foreign, after = after, msgspec.structs.replace(after, changed=after.changed + 1)
    told = (await store.trail.load(theirs.key, [run.key]))[run.key]
    assert (told.paused_at, told.cancelled_at) == (None, None)
    assert await store.campaigns.unfinished(ours.key, [run.key]) == set()
    assert await store.campaigns.runs_of(ours.key, "spring", 0, 10) == []
    assert [one.key for one in await store.campaigns.runs_of(theirs.key, "spring", 0, 10)] == [run.key]
    reached = await store.campaigns.reached(ours.key, running.open, CampaignGoal(event="order", within=60))
    assert (reached.tapped, reached.converted) == (0, 0)
