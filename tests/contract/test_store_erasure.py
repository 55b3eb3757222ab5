"""Erasing a person leaves no trace; merging an anonymous one loses nothing and forgets no refusal."""

from clarion.model import DeliveryState, Device, Key, Project, Reason, ReceiptKind
from clarion.ports import Effects, Store
from contract.support import (
    NOW,
    consent,
    decision,
    event,
    facts_query,
    new_delivery,
    new_notification,
    new_project,
    new_user,
    outcome,
    receipt,
    register,
    the_delivery,
)
from contract.world import new_world, read_all


async def test_an_erased_person_is_nowhere_and_everybody_else_is_as_before(store: Store) -> None:
    world = await new_world(store, "shop", people=2)
    gone, stays = world.people
    before = await read_all(store, world.project.key, world, stays)
    assert await store.users.erase(world.project.key, gone.user_id)
    for person in (gone, stays):
        answers = await read_all(store, world.project.key, world, person)
        traces = [name for name, answer in answers.items() if gone.mark in answer or repr(gone.user_id) in answer]
        assert traces == []
    after = await read_all(store, world.project.key, world, stays)
    shared = {
        "losses.since",
        "runs.page",
        "runs.newest",
        "trail.progress",
        "trail.decisions of a notification",
        "trail.deliveries of a notification",
        "tallies.of_notifications",
        "trail.holders",
    }
    assert {name for name in before if before[name] != after[name]} == shared


async def test_an_erased_person_counts_nowhere(store: Store) -> None:
    world = await new_world(store, "shop", people=2)
    await store.users.erase(world.project.key, world.people[0].user_id)
    progress = await store.trail.progress(world.project.key, world.notification.key)
    assert progress.reasons == {"send": 1}
    assert progress.deliveries == {DeliveryState.CLICKED: 1}


async def test_an_erased_id_begins_anew(store: Store) -> None:
    world = await new_world(store, "shop")
    [person] = world.people
    assert await store.users.erase(world.project.key, person.user_id)
    assert not await store.users.erase(world.project.key, person.user_id)
    key = await new_user(store, world.project, person.user_id)
    assert key != person.key
    answers = await read_all(store, world.project.key, world, person)
    assert [name for name, answer in answers.items() if person.mark in answer] == []


async def test_writing_for_an_erased_person_brings_nothing_back(store: Store) -> None:
    """Work that was on its way when the person was erased."""
    world = await new_world(store, "shop")
    [person] = world.people
    await store.users.erase(world.project.key, person.user_id)
    await store.steps.commit(Effects(outcomes=[outcome(person.queued, DeliveryState.ACCEPTED, provider_id="too-late")]))
    await store.consents.append(world.project.key, [consent(person.key, True, source="too-late")])
    answers = await read_all(store, world.project.key, world, person)
    assert [name for name, answer in answers.items() if "too-late" in answer] == []


# --- merging ---------------------------------------------------------------------------------------------------------


class Visitor:
    """Somebody anonymous who turns out to be a known person."""

    def __init__(self, store: Store, project: Project, anonymous: Key, known: Key) -> None:
        self.store, self.project, self.anonymous, self.known = store, project, anonymous, known

    async def device(self, user: Key) -> Device:
        return await register(self.store, self.project, user, f"https://push.example/{user}")

    async def login(self) -> None:
        await self.store.users.merge(self.project.key, self.anonymous, self.known, NOW + 100)

    async def allowed(self) -> dict[tuple[str, str], bool]:
        query = facts_query([self.known], categories=["offers", "orders"])
        [recipient] = (await self.store.steps.facts(self.project.key, query)).recipients
        return recipient.consents


async def new_visitor(store: Store, project_id: str = "shop") -> Visitor:
    project = await new_project(store, project_id)
    anonymous = await store.users.create_anonymous(project.key, "anon", NOW)
    return Visitor(store, project, anonymous.key, await new_user(store, project, "u1"))


async def test_after_a_merge_the_anonymous_user_is_over(store: Store) -> None:
    visitor = await new_visitor(store)
    await visitor.login()
    assert await store.users.get(visitor.project.key, "anon") is None
    assert await store.users.by_key(visitor.project.key, visitor.anonymous) is None
    known = await store.users.get(visitor.project.key, "u1")
    assert known is not None
    assert (known.key, known.anonymous) == (visitor.known, False)


async def test_devices_events_and_consents_move(store: Store) -> None:
    visitor = await new_visitor(store)
    project = visitor.project.key
    devices = [await visitor.device(visitor.anonymous), await visitor.device(visitor.known)]
    await store.events.add(project, [event("anon", "seen", id="e1"), event("u1", "paid")], frozenset(), NOW)
    await store.consents.append(project, [consent(visitor.anonymous, True, source="prompt")])
    await visitor.login()
    found = await store.devices.of_user(project, visitor.known)
    assert sorted(device.key for device in found) == sorted(device.key for device in devices)
    assert {device.user_id for device in found} == {"u1"}
    events = await store.events.of_user(project, visitor.known, 10)
    assert sorted((moved.name, moved.user_id, moved.user) for moved in events) == [
        ("paid", "u1", visitor.known),
        ("seen", "u1", visitor.known),
    ]
    assert [line.source for line in await store.consents.of_user(project, visitor.known)] == ["prompt"]
    for left in (
        await store.devices.of_user(project, visitor.anonymous),
        await store.events.of_user(project, visitor.anonymous, 10),
        await store.consents.of_user(project, visitor.anonymous),
    ):
        assert left == []


async def test_the_trail_moves(store: Store) -> None:
    visitor = await new_visitor(store)
    project = visitor.project
    device = await visitor.device(visitor.anonymous)
    notification = await new_notification(store, project)
    queued = await new_delivery(store, notification, device)
    await store.steps.commit(Effects(sent_content=[(visitor.anonymous, 7)]))
    await store.trail.add_receipts([receipt(project, queued, ReceiptKind.DELIVERED)], NOW)
    await visitor.login()
    assert (await the_delivery(store, project, queued)).user_id == "u1"
    [record] = await _decisions_of(store, project, visitor.known)
    assert (record.user_id, record.reason) == ("u1", Reason.SEND)
    assert len(await store.trail.receipts_of_user(project.key, visitor.known, 10)) == 1
    facts = await store.steps.facts(project.key, facts_query([visitor.known], content=[7]))
    assert facts.sent_content.keys() == {(visitor.known, 7)}


async def test_a_notification_decided_for_both_is_decided_once(store: Store) -> None:
    visitor = await new_visitor(store)
    notification = await new_notification(store, visitor.project)
    both = [decision(notification, visitor.anonymous, Reason.NO_DEVICE), decision(notification, visitor.known)]
    await store.steps.commit(Effects(decisions=both))
    await visitor.login()
    assert len(await _decisions_of(store, visitor.project, visitor.known)) == 1
    progress = await store.trail.progress(visitor.project.key, notification.key)
    assert sum(progress.reasons.values()) == 1


async def test_what_was_on_its_way_before_the_merge_still_counts_after_it(store: Store) -> None:
    """Receipt tokens and work in hand name the user before the merge."""
    visitor = await new_visitor(store)
    device = await visitor.device(visitor.anonymous)
    queued = await new_delivery(store, await new_notification(store, visitor.project), device)
    await visitor.login()
    await store.steps.commit(Effects(outcomes=[outcome(queued, DeliveryState.ACCEPTED, provider_id="p1")]))
    assert (await the_delivery(store, visitor.project, queued)).provider_id == "p1"
    shown = receipt(visitor.project, queued, ReceiptKind.DISPLAYED)
    assert await store.trail.add_receipts([shown], NOW) == [True]
    assert await store.trail.add_receipts([shown], NOW) == [False]
    assert (await the_delivery(store, visitor.project, queued)).state is DeliveryState.DISPLAYED
    assert len(await store.trail.receipts_of_user(visitor.project.key, visitor.known, 10)) == 1


async def test_a_refusal_by_either_side_stays(store: Store) -> None:
    for refused_by_known in (True, False):
        visitor = await new_visitor(store, f"shop-{refused_by_known}")
        no, yes = (visitor.known, visitor.anonymous) if refused_by_known else (visitor.anonymous, visitor.known)
        await store.consents.append(visitor.project.key, [consent(no, False, at=NOW), consent(yes, True, at=NOW + 1)])
        await visitor.login()
        assert await visitor.allowed() == {("offers", "push"): False}
        ledger = await store.consents.of_user(visitor.project.key, visitor.known)
        assert [(line.granted, line.source) for line in ledger] == [(False, "form"), (True, "form"), (False, "merge")]
        assert ledger[-1].at == NOW + 100


async def test_a_merge_adds_no_line_where_none_is_needed(store: Store) -> None:
    visitor = await new_visitor(store)
    lines = [
        consent(visitor.anonymous, True, "orders", at=NOW),
        consent(visitor.anonymous, False, at=NOW + 1),
        consent(visitor.anonymous, True, at=NOW + 2),  # who came back to yes refuses nothing
        consent(visitor.known, True, at=NOW + 3),
    ]
    for line in lines:
        await store.consents.append(visitor.project.key, [line])
    await visitor.login()
    ledger = await store.consents.of_user(visitor.project.key, visitor.known)
    assert [(line.category, line.granted, line.at) for line in ledger] == [
        (line.category, line.granted, line.at) for line in lines
    ]
    assert await visitor.allowed() == {("offers", "push"): True, ("orders", "push"): True}


async def test_a_refusal_that_is_the_last_word_is_not_said_again(store: Store) -> None:
    visitor = await new_visitor(store)
    lines = [consent(visitor.known, True, at=NOW), consent(visitor.anonymous, False, at=NOW + 1)]
    await store.consents.append(visitor.project.key, lines)
    await visitor.login()
    ledger = await store.consents.of_user(visitor.project.key, visitor.known)
    assert [line.source for line in ledger] == ["form", "form"]
    assert await visitor.allowed() == {("offers", "push"): False}


async def test_the_moved_people_can_be_erased_together(store: Store) -> None:
    visitor = await new_visitor(store)
    device = await visitor.device(visitor.anonymous)
    notification = await new_notification(store, visitor.project)
    queued = await new_delivery(store, notification, device)
    await visitor.login()
    assert await store.users.erase(visitor.project.key, "u1")
    assert await store.trail.add_receipts([receipt(visitor.project, queued)], NOW) == [False]
    progress = await store.trail.progress(visitor.project.key, notification.key)
    assert (progress.reasons, progress.deliveries) == ({}, {})
    assert await store.devices.get(visitor.project.key, device.id) is None


async def _decisions_of(store: Store, project: Project, user: Key):
    page = await store.trail.decisions(project.key, notification=None, user=user, reason=None, cursor=None, limit=10)
    return page.items
