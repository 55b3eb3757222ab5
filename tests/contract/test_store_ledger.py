"""The ledger of consents, where lines come from elsewhere or from devices; and who wants no marketing now."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from clarion.model import Consent, DeviceKind, Permission, PreferenceChange, Registration
from clarion.ports import Store, last_said, told_news
from contract.support import NOW, consent, new_project, new_user, new_users

OLD = NOW - 1_000_000


async def test_what_was_said_elsewhere_never_overrules_a_newer_word(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    await store.consents.append(project.key, [consent(first, False, at=NOW)])
    told = [
        consent(first, True, said_at=OLD, at=NOW),
        consent(second, False, said_at=OLD + 1, at=NOW),
        consent(second, True, said_at=OLD, at=NOW),
        consent(99_999, True, said_at=OLD, at=NOW),
    ]
    assert await store.consents.take_over(project.key, told) == [False, True, True, False]
    assert await store.consents.take_over(project.key, told) == [False] * 4
    assert await store.consents.of_user(project.key, first) == [consent(first, False, at=NOW)]
    assert await store.consents.of_user(project.key, second) == [told[2], told[1]]
    assert await store.consents.take_over(project.key, []) == []


async def test_a_no_at_the_same_time_as_a_batch_stays_the_last_word(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 20)
    told = [consent(user, True, said_at=OLD, at=NOW) for user in users]
    said = (store.consents.append(project.key, [consent(user, False, at=NOW)]) for user in users)
    await asyncio.gather(store.consents.take_over(project.key, told), *said)
    for user in users:
        assert (await store.consents.of_user(project.key, user))[-1].granted is False


async def test_lines_of_another_project_are_not_taken(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    user = await new_user(store, project)
    assert await store.consents.take_over(other.key, [consent(user, True, at=NOW)]) == [False]
    assert await store.consents.of_user(project.key, user) == []


async def test_a_device_that_answers_otherwise_leaves_a_line(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    for number, permission in enumerate(("default", "denied", "granted", "provisional", "denied", "denied", "granted")):
        told = Registration(
            kind=DeviceKind.FCM, address="token", permission=Permission(permission), installation="i", lane="l"
        )
        await store.devices.register(project.key, user, told, "d1", NOW + number)
    ledger = await store.consents.of_user(project.key, user)
    assert [(line.category, line.granted, line.source, line.at) for line in ledger] == [
        ("*", True, "system_granted", NOW + 2),
        ("*", False, "system_revoked", NOW + 4),
        ("*", True, "system_granted", NOW + 6),
    ]


async def test_at_a_merge_a_browsers_answer_is_not_repeated_as_a_refusal(store: Store) -> None:
    project = await new_project(store)
    visitor = (await store.users.create_anonymous(project.key, "anon", NOW)).key
    known = await new_user(store, project, "ada")
    lines = [consent(visitor, False, "*", at=NOW, source="browser_revoked"), consent(known, True, "*", at=NOW + 1)]
    for line in lines:
        await store.consents.append(project.key, [line])
    await store.users.merge(project.key, visitor, known, NOW + 2)
    assert [line.granted for line in await store.consents.of_user(project.key, known)] == [False, True]


async def test_who_paused_marketing(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    first, second, third = await new_users(store, project, 3)
    await store.preferences.put(project.key, first, PreferenceChange(marketing_paused_until=NOW + 1), NOW)
    await store.preferences.put(project.key, second, PreferenceChange(marketing_paused_until=NOW), NOW)
    everybody = [first, second, third]
    assert await store.steps.paused(project.key, everybody, NOW) == {first}
    assert await store.steps.paused(project.key, [second], NOW) == frozenset()
    assert await store.steps.paused(other.key, everybody, NOW) == frozenset()


said = st.builds(
    lambda user, category, granted, at: Consent(
        user=user, category=category, channel="push", granted=granted, source="x", said_at=at, at=100
    ),
    st.integers(1, 2),
    st.sampled_from("ab"),
    st.booleans(),
    st.integers(0, 6),
)


@given(st.lists(said, max_size=8), st.lists(said, max_size=8))
def test_however_batches_come_the_word_said_last_holds(first: list[Consent], second: list[Consent]) -> None:
    """Of two words at one moment, the no."""
    ledger: list[Consent] = []
    for batch in (first, second):
        news = told_news(batch, last_said(ledger))
        ledger += sorted((line for line, new in zip(batch, news, strict=True) if new), key=lambda line: line.said_at)
    every = [*first, *second]
    for about, (_, granted) in last_said(ledger).items():
        mine = [line for line in every if (line.user, line.category, line.channel) == about]
        latest = max(line.said_at for line in mine)
        assert granted is all(line.granted for line in mine if line.said_at == latest)
    assert set(last_said(ledger)) == set(last_said(every))
