"""Runs as pages show them: the newest first, of one person or key, and how many of each automation ended how."""

import pytest

from clarion.model import Ended, Project, Run
from clarion.ports import Crowd, Effects, Store
from contract.support import NOW, make_notification, new_project, new_users


def run(user: int, automation: str = "a", key: str = "", began: int = 0, **more: object) -> Run:
    return Run(automation=automation, version=1, user=user, run_key=key, began_at=NOW + began, since=NOW, **more)  # type: ignore[arg-type]


@pytest.fixture
async def people(store: Store) -> tuple[Project, list[int]]:
    project = await new_project(store)
    return project, list(await new_users(store, project, 3))


async def begin(store: Store, project: Project, *runs: Run) -> None:
    """With a notification, which says whose they are."""
    said = await make_notification(store, project, f"n{runs[0].began_at}")
    assert await store.steps.commit(Effects(notifications=[said], runs=runs))


async def test_the_newest_are_those_that_began_last_whatever_row_they_took_over(
    store: Store, people: tuple[Project, list[int]]
) -> None:
    project, [one, two, three] = people
    first = [run(one, key="k"), run(two, key="k", began=5), run(three, began=9), run(one, "other", began=99)]
    await begin(store, project, *first)

    async def newest(user: int | None = None, key: str | None = None, limit: int = 10, **more: bool) -> list[int]:
        found = await store.runs.newest(project.key, "a", user, key, limit, **more)
        ids = await store.users.ids(project.key, [each.run.user for each in found])
        assert [each.user_id for each in found] == [ids[each.run.user] for each in found]
        return [each.run.user for each in found]

    assert await newest() == [three, two, one]
    assert await newest(limit=2) == [three, two]
    assert await newest(key="k") == [two, one]
    assert await newest(user=one) == [one]
    assert await newest(user=three, key="k") == []
    await store.runs.cancel(project.key, "a", one, None, NOW)
    assert await newest(under_way=True) == [three, two]
    assert await newest(under_way=True, user=one) == []
    await begin(store, project, run(one, key="k", began=50))
    assert await newest() == [one, three, two]


async def test_totals_are_by_automation_and_end(store: Store, people: tuple[Project, list[int]]) -> None:
    project, [one, two, three] = people
    ended = [run(each, ended=how) for each, how in ((one, Ended.GOAL), (two, Ended.DONE))]
    theirs = await new_project(store, "other")
    [stranger] = await new_users(store, theirs, 1)
    await begin(store, project, *ended, run(three), run(three, key="k"), run(one, "b", ended=Ended.EXIT))
    await begin(store, theirs, run(stranger))
    totals = await store.runs.totals(project.key, ["a", "b", "none"])
    assert {name: dict(counts) for name, counts in totals.items()} == {
        "a": {Ended.GOAL: 1, Ended.DONE: 1, None: 2},
        "b": {Ended.EXIT: 1},
        "none": {},
    }
    assert {name: dict(counts) for name, counts in (await store.runs.totals(theirs.key, ["a"])).items()} == {
        "a": {None: 1}
    }
    assert await store.runs.totals(project.key, []) == {}


async def test_no_crowd_is_no_count(store: Store, people: tuple[Project, list[int]]) -> None:
    assert await store.audiences.counts(people[0].key, list[Crowd]()) == []
