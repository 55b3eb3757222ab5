"""The ledger of what people allowed."""

from clarion.model import Channel
from clarion.ports import Store
from contract.support import NOW, consent, facts_query, new_project, new_user, new_users


async def test_every_line_is_kept_oldest_first(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    lines = [
        consent(user, True, at=NOW, wording="Send me offers"),
        consent(user, False, at=NOW + 1, source="preferences"),
        consent(user, True, at=NOW + 2, channel=Channel.EMAIL),
    ]
    await store.consents.append(project.key, lines[:2])
    await store.consents.append(project.key, lines[2:])
    assert await store.consents.of_user(project.key, user) == lines


async def test_the_same_words_twice_are_two_lines(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    for _ in range(2):
        await store.consents.append(project.key, [consent(user, True)])
    assert len(await store.consents.of_user(project.key, user)) == 2


async def test_one_batch_holds_lines_of_many_people(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    await store.consents.append(project.key, [consent(first, True), consent(second, False)])
    assert await store.consents.of_user(project.key, second) == [consent(second, False)]


async def test_the_last_word_counts_per_category_and_channel(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    await store.consents.append(
        project.key,
        [
            consent(user, True, at=NOW),
            consent(user, False, at=NOW),  # of two lines at the same moment the later written is the last word
            consent(user, True, "orders", at=NOW),
            consent(user, False, at=NOW, channel=Channel.EMAIL),
        ],
    )
    await store.consents.append(project.key, [consent(user, True, at=NOW + 1, channel=Channel.EMAIL)])
    facts = await store.steps.facts(project.key, facts_query([user], categories=["offers", "orders"]))
    [recipient] = facts.recipients
    assert recipient.consents == {("offers", "push"): False, ("offers", "email"): True, ("orders", "push"): True}


async def test_refused_since_tells_the_last_word_of_the_lines_since_then(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    await store.consents.append(
        project.key,
        [
            consent(first, False, "old", at=NOW - 1),
            consent(first, False, at=NOW),
            consent(first, True, at=NOW + 1),
            consent(second, True, at=NOW),
            consent(second, False, at=NOW + 1),
        ],
    )
    said = await store.steps.refused_since(project.key, [first, second], NOW)
    assert said == {(first, "offers", "push"): True, (second, "offers", "push"): False}
    assert await store.steps.refused_since(project.key, [first], NOW + 1) == {(first, "offers", "push"): True}
    assert await store.steps.refused_since(project.key, [first], NOW + 2) == {}
    assert await store.steps.refused_since(project.key, [], NOW) == {}
