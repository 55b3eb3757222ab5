"""People: public ids in, internal keys out."""

import asyncio

import pytest

from clarion.errors import Conflict
from clarion.model import UserChange
from clarion.ports import Store
from contract.support import NOW, new_project, new_user, soon


async def test_put_creates_a_user_with_what_it_gives(store: Store) -> None:
    project = await new_project(store)
    change = UserChange(
        attributes={"name": "Zoë"},
        locale="de-CH",
        timezone="Europe/Zurich",
        email="z@example.org",
        phone="+41441234567",
    )
    user, created = await store.users.put(project.key, "u1", change, NOW)
    assert created
    assert (user.project, user.user_id, user.attributes) == (project.key, "u1", {"name": "Zoë"})
    assert (user.locale, user.timezone) == ("de-CH", "Europe/Zurich")
    assert (user.email, user.phone) == ("z@example.org", "+41441234567")
    assert (user.anonymous, user.created_at, user.updated_at) == (False, NOW, NOW)
    assert await store.users.get(project.key, "u1") == user
    assert await store.users.by_key(project.key, user.key) == user


async def test_put_changes_only_the_fields_that_it_gives(store: Store) -> None:
    project = await new_project(store)
    await store.users.put(project.key, "u1", UserChange(locale="de", timezone="UTC", email="a@example.org"), NOW)
    user, created = await store.users.put(project.key, "u1", UserChange(locale="fr", email=None), NOW + 5)
    assert not created
    assert (user.locale, user.timezone, user.email) == ("fr", "UTC", None)
    assert (user.created_at, user.updated_at) == (NOW, NOW + 5)
    assert await store.users.get(project.key, "u1") == user


async def test_attributes_are_merged_key_by_key_and_null_removes(store: Store) -> None:
    project = await new_project(store)
    await store.users.put(project.key, "u1", UserChange(attributes={"a": 1, "b": {"x": 1}, "c": 3, "n": None}), NOW)
    user, _ = await store.users.put(project.key, "u1", UserChange(attributes={"b": {"y": 2}, "c": None, "d": []}), NOW)
    assert user.attributes == {"a": 1, "b": {"y": 2}, "d": []}
    assert await store.users.get(project.key, "u1") == user


async def test_resolve_creates_who_is_missing_only_when_asked(store: Store) -> None:
    project = await new_project(store)
    known = await new_user(store, project, "known")
    assert await store.users.resolve(project.key, ["known", "new"], NOW, create=False) == {"known": known}
    both = await store.users.resolve(project.key, ["known", "new", "new"], NOW, create=True)
    assert both.keys() == {"known", "new"}
    assert both["known"] == known
    assert await store.users.resolve(project.key, ["new"], NOW, create=True) == {"new": both["new"]}


async def test_many_who_name_the_same_new_people_at_once_agree_on_their_keys(store: Store) -> None:
    project = await new_project(store)
    ids = [f"u{number}" for number in range(50)]
    orders = (ids, ids[::-1], ids[25:] + ids[:25], ids[::-2] + ids)
    answers = await soon(asyncio.gather(*(store.users.resolve(project.key, each, NOW, create=True) for each in orders)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == len(ids)


async def test_ids_leads_from_keys_back_to_public_ids(store: Store) -> None:
    project = await new_project(store)
    keys = await store.users.resolve(project.key, ["a", "b"], NOW, create=True)
    assert await store.users.ids(project.key, [*keys.values(), 999_999]) == {keys["a"]: "a", keys["b"]: "b"}
    assert await store.users.ids(project.key, []) == {}


async def test_an_unknown_user_is_none(store: Store) -> None:
    project = await new_project(store)
    assert await store.users.get(project.key, "nobody") is None
    assert await store.users.by_key(project.key, 999_999) is None


async def test_an_anonymous_user_says_so(store: Store) -> None:
    project = await new_project(store)
    user = await store.users.create_anonymous(project.key, "anon-1", NOW)
    assert user.anonymous
    assert await store.users.get(project.key, "anon-1") == user


async def test_an_anonymous_user_never_takes_the_id_of_somebody(store: Store) -> None:
    project = await new_project(store)
    key = await new_user(store, project, "u1")
    with pytest.raises(Conflict):
        await store.users.create_anonymous(project.key, "u1", NOW)
    user = await store.users.by_key(project.key, key)
    assert user is not None
    assert not user.anonymous


async def test_an_id_with_any_character_comes_back_unchanged(store: Store) -> None:
    project = await new_project(store)
    ids = ["a b", "A b", "ä", "a\u0308", "'; --", "%_\\", "🎁", " padded "]
    keys = await store.users.resolve(project.key, ids, NOW, create=True)
    assert len(set(keys.values())) == len(ids)
    assert await store.users.ids(project.key, list(keys.values())) == {key: id for id, key in keys.items()}
