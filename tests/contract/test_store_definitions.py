"""What a project defines by name."""

import asyncio

from clarion.ports import Store
from contract.support import NOW, every_page, new_project


async def test_a_definition_comes_back_as_it_was_put(store: Store) -> None:
    project = await new_project(store)
    body = {"name": "offers", "title": "Für dich 🎁", "nested": {"list": [1, 2.5, None, True]}}
    assert await store.definitions.put(project.key, "categories", "offers", body, NOW)
    assert await store.definitions.get(project.key, "categories", "offers") == body


async def test_putting_again_replaces_and_is_not_new(store: Store) -> None:
    project = await new_project(store)
    assert await store.definitions.put(project.key, "templates", "t", {"name": "t", "v": 1}, NOW)
    assert not await store.definitions.put(project.key, "templates", "t", {"name": "t", "v": 2}, NOW + 1)
    assert await store.definitions.all(project.key, "templates") == [{"name": "t", "v": 2}]


async def test_of_those_who_add_the_same_name_at_once_one_wins(store: Store) -> None:
    project = await new_project(store)
    bodies = [{"name": "t", "by": number} for number in range(8)]
    added = await asyncio.gather(*(store.definitions.add(project.key, "templates", "t", body, NOW) for body in bodies))
    assert sum(added) == 1
    assert await store.definitions.get(project.key, "templates", "t") == bodies[added.index(True)]
    assert await store.definitions.add(project.key, "automations", "t", {"name": "t"}, NOW)


async def test_kinds_have_names_of_their_own(store: Store) -> None:
    project = await new_project(store)
    await store.definitions.put(project.key, "templates", "same", {"is": "template"}, NOW)
    await store.definitions.put(project.key, "automations", "same", {"is": "automation"}, NOW)
    assert await store.definitions.get(project.key, "templates", "same") == {"is": "template"}
    assert await store.definitions.all(project.key, "automations") == [{"is": "automation"}]


async def test_an_unknown_definition_is_none(store: Store) -> None:
    project = await new_project(store)
    assert await store.definitions.get(project.key, "categories", "nothing") is None
    assert await store.definitions.all(project.key, "segments") == []


async def test_a_deleted_definition_is_gone_and_deleting_it_again_is_false(store: Store) -> None:
    project = await new_project(store)
    await store.definitions.put(project.key, "categories", "offers", {"name": "offers"}, NOW)
    assert await store.definitions.delete(project.key, "categories", "offers")
    assert not await store.definitions.delete(project.key, "categories", "offers")
    assert await store.definitions.get(project.key, "categories", "offers") is None


async def test_pages_cover_every_definition_once_in_the_order_of_names(store: Store) -> None:
    project = await new_project(store)
    names = [f"t{number}" for number in range(7)]
    for name in reversed(names):
        await store.definitions.put(project.key, "templates", name, {"name": name}, NOW)
    pages = await every_page(lambda cursor: store.definitions.page(project.key, "templates", cursor, 3))
    assert [[body["name"] for body in page] for page in pages] == [names[:3], names[3:6], names[6:]]


async def test_a_page_that_holds_exactly_all_is_the_last(store: Store) -> None:
    project = await new_project(store)
    for name in ("a", "b"):
        await store.definitions.put(project.key, "templates", name, {"name": name}, NOW)
    page = await store.definitions.page(project.key, "templates", None, 2)
    assert len(page.items) == 2
    assert page.next_cursor is None


async def test_the_empty_list_is_one_empty_page(store: Store) -> None:
    project = await new_project(store)
    assert await every_page(lambda cursor: store.definitions.page(project.key, "templates", cursor, 3)) == [[]]
