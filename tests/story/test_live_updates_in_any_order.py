"""Whatever happens in whatever order: at the end every screen shows the newest words, or what its person left there."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.errors import Conflict
from clarion.model import Key, Notification, ReceiptKind
from clarion.ports import Accepted, Outgoing, ProviderOutcome, RetryAfter
from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.world import World, payload

PEOPLE = ("ada", "bob", "cyd")
MINUTE_MS = 60_000

ACTIONS = st.one_of(
    st.just(("replace",)),
    st.just(("withdraw",)),
    st.tuples(st.just("dismiss"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("work"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.sampled_from([1_000, 5_000, MINUTE_MS])),
)


class Screens:
    """What stands on each device, as its push service brought it."""

    def __init__(self) -> None:
        self.shown: dict[Key, dict[str, Outgoing]] = {}
        self.dismissed: set[Key] = set()
        self.refusals = 0

    def take(self, message: Outgoing) -> ProviderOutcome:
        """The provider's answer; what it accepts is on the screen at once."""
        if self.refusals:
            self.refusals -= 1
            return RetryAfter(seconds=7)
        told, screen = payload(message), self.shown.setdefault(message.ready.device, {})
        if told.get("update") == "withdraw":
            screen.pop(told["tag"], None)
        else:
            screen[told["tag"]] = message
        return Accepted()

    def bodies(self, device: Key) -> list[str]:
        return [payload(message)["body"] for message in self.shown.get(device, {}).values()]


async def updated(world: World, notification: Notification, how: str, body: str) -> str:
    """The words that count after it; empty once it is withdrawn."""
    updating, newer = world.pipeline.updating, f"{int(body or 0) + 1}"
    if how == "withdraw":
        await updating.withdraw(world.project, notification.id)
        return ""
    try:
        await updating.replace(world.project, notification.id, {"body": newer})
    except Conflict:
        assert body == "", "only what was withdrawn cannot be replaced"
        return body
    return newer


async def dismissed(world: World, screens: Screens, person: str) -> None:
    for device, screen in screens.shown.items():
        for tag, message in list(screen.items()):
            if message.address.address.endswith(person):
                del screen[tag]
                screens.dismissed.add(device)
                await world.device_tells(message, ReceiptKind.DISPLAYED, ReceiptKind.DISMISSED)


async def happens(world: World, action: tuple[Any, ...], screens: Screens) -> None:
    match action:
        case ("dismiss", person):
            await dismissed(world, screens, person)
        case ("refuse", count):
            screens.refusals = count
        case ("work", count):
            for lease in (await world.due())[:count]:
                await world.pipeline.step(lease)
        case ("wait", ms):
            world.clock.advance(ms)


@settings(max_examples=300, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=14), later=st.booleans())
async def test_the_newest_words_stand_at_the_end(actions: list[tuple[Any, ...]], later: bool) -> None:
    clock = ManualClock()
    world = await World(MemoryStore(clock), clock, SeededChance()).begin()
    screens = Screens()
    world.browser.otherwise = screens.take
    devices = {person: (await world.subscribe(person)).key for person in PEOPLE}
    send_at = clock.now() + 3_000 if later else None
    first = await world.notify(*PEOPLE, body="0", send_at=send_at)
    body = "0"
    for action in actions:
        if action[0] in ("replace", "withdraw"):
            body = await updated(world, first, action[0], body)
        else:
            await happens(world, action, screens)
    screens.refusals = 0
    for _ in range(12):
        await world.work()
        clock.advance(15_000)
    await world.work()
    for person, device in devices.items():
        expected = [body] if body else []
        if device in screens.dismissed:  # what was under way to them already comes still
            assert screens.bodies(device) in ([], expected), person
        else:
            assert screens.bodies(device) == expected, person
