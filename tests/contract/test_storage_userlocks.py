"""Claims on users inside one process: who shares a user waits, everybody else passes, in the order they came."""

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from clarion.storage.userlocks import UserLocks
from contract.support import soon

KEYS = range(12)
named = st.sets(st.sampled_from(KEYS)).map(lambda users: (None, sorted(users)))
spans = st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)).map(lambda ends: (tuple(sorted(ends)), []))
claims = named | spans


def users_of(claim) -> set[int]:
    span, users = claim
    return set(users) if span is None else set(range(span[0], span[1] + 1))


class Holder:
    """Takes its claim and keeps it until it is told to go."""

    def __init__(self, locks: UserLocks, claim) -> None:
        self._locks, self._claim = locks, claim
        self.inside = False
        self.go = asyncio.Event()

    async def run(self) -> None:
        async with self._locks.hold(*self._claim):
            self.inside = True
            await self.go.wait()
        self.inside = False


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@given(claims, claims)
async def test_two_wait_for_each_other_only_when_they_share_a_user(first, second) -> None:
    locks = UserLocks()
    holders = [Holder(locks, claim) for claim in (first, second)]
    tasks = [asyncio.create_task(holder.run()) for holder in holders]
    await settle()
    assert holders[0].inside
    assert holders[1].inside == users_of(first).isdisjoint(users_of(second))
    for holder in holders:
        holder.go.set()
    await soon(asyncio.gather(*tasks))


@given(st.lists(st.tuples(claims, st.booleans()), max_size=12))
async def test_no_user_is_held_twice_and_everybody_gets_through(wanted) -> None:
    """Those marked True give up while they wait or work."""
    locks = UserLocks()
    holders = [Holder(locks, claim) for claim, _ in wanted]
    tasks = [asyncio.create_task(holder.run()) for holder in holders]
    await settle()
    for number, (holder, (_, gives_up)) in enumerate(zip(holders, wanted, strict=True)):
        held = [
            user for other, (claim, _) in zip(holders, wanted, strict=True) if other.inside for user in users_of(claim)
        ]
        assert len(held) == len(set(held))
        if gives_up:
            tasks[number].cancel()
            with suppress(asyncio.CancelledError):
                await soon(tasks[number])
            holder.inside = False
        else:
            holder.go.set()
            await soon(tasks[number])
        await settle()
    async with asyncio.timeout(5), locks.hold((0, 99), []):
        pass
