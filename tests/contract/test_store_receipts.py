"""What comes back about a delivery: counted once, and only ever forward."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.model import STATE_OF_RECEIPT, Delivery, DeliveryState, Outcome, Project, Reason, Receipt, ReceiptKind
from clarion.ports import Effects, Store
from contract.support import (
    NOW,
    new_delivery,
    new_notification,
    new_project,
    new_user,
    outcome,
    receipt,
    register,
    the_delivery,
)


async def queued_delivery(store: Store, id: str = "n1") -> tuple[Project, Delivery]:
    """A delivery in a project of its own."""
    project = await new_project(store, f"shop-{id}")
    device = await register(store, project, await new_user(store, project))
    return project, await new_delivery(store, await new_notification(store, project, id), device)


async def test_a_receipt_moves_its_delivery_and_is_kept(store: Store) -> None:
    project, queued = await queued_delivery(store)
    clicked = receipt(project, queued, ReceiptKind.CLICKED, action="track", at=NOW - 5)
    assert await store.trail.add_receipts([clicked], NOW) == [True]
    assert (await the_delivery(store, project, queued)).state is DeliveryState.CLICKED
    [kept] = await store.trail.receipts_of_user(project.key, queued.user, 10)
    assert (kept.notification, kept.device) == (queued.notification, queued.device)
    assert (kept.kind, kept.action, kept.at) == ("clicked", "track", NOW - 5)


async def test_the_same_receipt_counts_once_also_within_a_batch(store: Store) -> None:
    project, queued = await queued_delivery(store)
    shown = receipt(project, queued, at=NOW)
    assert await store.trail.add_receipts([shown, shown], NOW) == [True, False]
    assert await store.trail.add_receipts([receipt(project, queued, at=NOW + 5)], NOW) == [False]
    assert len(await store.trail.receipts_of_user(project.key, queued.user, 10)) == 1


async def test_kinds_and_actions_count_apart(store: Store) -> None:
    project, queued = await queued_delivery(store)
    batch = [
        receipt(project, queued, ReceiptKind.DISPLAYED),
        receipt(project, queued, ReceiptKind.CLICKED),
        receipt(project, queued, ReceiptKind.CLICKED, action="track"),
        receipt(project, queued, ReceiptKind.CLICKED, action="other"),
    ]
    assert await store.trail.add_receipts(batch, NOW) == [True] * 4
    kept = await store.trail.receipts_of_user(project.key, queued.user, 10)
    assert sorted((one.kind, one.action or "") for one in kept) == [
        ("clicked", ""),
        ("clicked", "other"),
        ("clicked", "track"),
        ("displayed", ""),
    ]
    assert {one.action for one in kept} == {None, "track", "other"}


async def test_a_receipt_of_a_delivery_that_never_was_is_false(store: Store) -> None:
    project, queued = await queued_delivery(store)
    other = await register(store, project, queued.user, "https://push.example/other")
    never = Delivery(queued.notification, queued.user, other.key, other.kind)
    batch = [receipt(project, never), receipt(project, queued)]
    assert await store.trail.add_receipts(batch, NOW) == [False, True]
    assert len(await store.trail.receipts_of_user(project.key, queued.user, 10)) == 1


async def test_a_receipt_of_an_erased_user_is_false(store: Store) -> None:
    project, queued = await queued_delivery(store)
    await store.users.erase(project.key, "u1")
    assert await store.trail.add_receipts([receipt(project, queued)], NOW) == [False]


async def test_a_receipt_of_another_project_moves_nothing(store: Store) -> None:
    project, queued = await queued_delivery(store)
    other = await new_project(store, "other")
    assert await store.trail.add_receipts([receipt(other, queued)], NOW) == [False]
    assert (await the_delivery(store, project, queued)).state is DeliveryState.QUEUED


async def test_a_receipt_is_proof_and_overrules_a_failure(store: Store) -> None:
    project, queued = await queued_delivery(store)
    failed = outcome(queued, DeliveryState.FAILED, reason=Reason.PROVIDER_ERROR)
    await store.steps.commit(Effects(outcomes=[failed]))
    assert (await the_delivery(store, project, queued)).reason is Reason.PROVIDER_ERROR
    await store.trail.add_receipts([receipt(project, queued, ReceiptKind.DELIVERED)], NOW)
    found = await the_delivery(store, project, queued)
    assert (found.state, found.reason) == (DeliveryState.DELIVERED, None)


async def test_a_receipt_that_was_faster_than_the_outcome_stays_and_so_does_what_the_provider_said(
    store: Store,
) -> None:
    project, queued = await queued_delivery(store)
    await store.trail.add_receipts([receipt(project, queued, ReceiptKind.DISPLAYED)], NOW)
    await store.steps.commit(Effects(outcomes=[outcome(queued, DeliveryState.ACCEPTED, provider_id="p1")]))
    found = await the_delivery(store, project, queued)
    assert (found.state, found.provider_id, found.attempts) == (DeliveryState.DISPLAYED, "p1", 1)


async def test_receipts_of_a_user_are_limited(store: Store) -> None:
    project, queued = await queued_delivery(store)
    await store.trail.add_receipts([receipt(project, queued, kind) for kind in ReceiptKind], NOW)
    assert len(await store.trail.receipts_of_user(project.key, queued.user, 2)) == 2


_names = itertools.count(1)
_steps = st.one_of(
    st.sampled_from(list(ReceiptKind)),
    st.sampled_from([state for state in DeliveryState if state <= DeliveryState.ACCEPTED]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, max_size=8), in_one_batch=st.booleans())
async def test_whatever_the_order_a_delivery_ends_in_the_furthest_state(
    store: Store, steps: list[ReceiptKind | DeliveryState], in_one_batch: bool
) -> None:
    project, queued = await queued_delivery(store, f"n{next(_names)}")
    batches = _as_written(project, queued, steps, in_one_batch=in_one_batch)
    for batch in batches:
        if isinstance(batch[0], Receipt):
            await store.trail.add_receipts(batch, NOW)  # type: ignore[arg-type]
        else:
            await store.steps.commit(Effects(outcomes=batch))  # type: ignore[arg-type]
    reached = [STATE_OF_RECEIPT[step] if isinstance(step, ReceiptKind) else step for step in steps]
    assert (await the_delivery(store, project, queued)).state is max(reached, default=DeliveryState.QUEUED)


def _as_written(
    project: Project, queued: Delivery, steps: list[ReceiptKind | DeliveryState], *, in_one_batch: bool
) -> list[list[Receipt | Outcome]]:
    """The steps in order; neighbours of a sort go together when `in_one_batch`."""
    rows = [receipt(project, queued, s) if isinstance(s, ReceiptKind) else outcome(queued, s) for s in steps]
    if not in_one_batch:
        return [[row] for row in rows]
    return [list(group) for _, group in itertools.groupby(rows, key=type)]
