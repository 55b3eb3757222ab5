"""One answer per Idempotency-Key and project."""

import asyncio

from clarion.model import DAY_MS
from clarion.ports import SavedAnswer, Store
from contract.support import NOW, new_project, soon

HASH, OTHER = b"h" * 32, b"o" * 32


async def test_the_first_request_is_ours_to_do(store: Store) -> None:
    project = await new_project(store)
    assert await store.idempotency.begin(project.key, "k", HASH, NOW) is None


async def test_a_repetition_gets_the_answer_as_it_was(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    await store.idempotency.finish(project.key, "k", 202, b'{"id": "\xc3\xa4"}\x00')
    answer = SavedAnswer(HASH, 202, b'{"id": "\xc3\xa4"}\x00')
    assert await store.idempotency.begin(project.key, "k", HASH, NOW + 1) == answer


async def test_another_request_under_the_same_key_sees_the_hash_that_it_does_not_match(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    await store.idempotency.finish(project.key, "k", 202, b"{}")
    answer = await store.idempotency.begin(project.key, "k", OTHER, NOW + 1)
    assert answer is not None
    assert answer.request_hash == HASH


async def test_while_it_is_in_progress_the_status_is_zero(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    answer = await store.idempotency.begin(project.key, "k", HASH, NOW + 59_000)
    assert answer is not None
    assert (answer.request_hash, answer.status) == (HASH, 0)


async def test_left_in_progress_for_a_minute_it_is_ours_again(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    assert await store.idempotency.begin(project.key, "k", OTHER, NOW + 60_001) is None
    answer = await store.idempotency.begin(project.key, "k", OTHER, NOW + 60_002)
    assert answer is not None
    assert (answer.request_hash, answer.status) == (OTHER, 0)
    await store.idempotency.finish(project.key, "k", 200, b"mine")
    assert await store.idempotency.begin(project.key, "k", OTHER, NOW + 60_003) == SavedAnswer(OTHER, 200, b"mine")


async def test_an_abandoned_request_is_forgotten(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    await store.idempotency.abandon(project.key, "k")
    assert await store.idempotency.begin(project.key, "k", OTHER, NOW + 1) is None


async def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    await store.idempotency.finish(project.key, "k", 202, b"{}")
    assert await store.idempotency.begin(project.key, "k", HASH, NOW + DAY_MS - 1) is not None
    assert await store.idempotency.begin(project.key, "k", HASH, NOW + DAY_MS + 1) is None


async def test_keys_are_apart(store: Store) -> None:
    project = await new_project(store)
    assert await store.idempotency.begin(project.key, "k1", HASH, NOW) is None
    assert await store.idempotency.begin(project.key, "K1", HASH, NOW) is None


async def test_of_many_at_once_exactly_one_does_it(store: Store) -> None:
    project = await new_project(store)
    calls = (store.idempotency.begin(project.key, "k", HASH, NOW) for _ in range(20))
    answers = await soon(asyncio.gather(*calls))
    assert answers.count(None) == 1
    assert {answer.status for answer in answers if answer is not None} == {0}


async def test_after_a_crash_exactly_one_of_many_takes_over(store: Store) -> None:
    project = await new_project(store)
    await store.idempotency.begin(project.key, "k", HASH, NOW)
    calls = (store.idempotency.begin(project.key, "k", HASH, NOW + 60_001) for _ in range(20))
    assert (await soon(asyncio.gather(*calls))).count(None) == 1
