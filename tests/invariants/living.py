"""Stories of the machine, lived on a store: as many as are asked for, or until the first that goes wrong."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from clarion.ports import Store
from invariants.machine import Clarion
from invariants.platform import AnyClock

STEPS = 60


class Lived:
    """How many stories there were, the last one included."""

    stories = 0


async def live(
    store: Callable[[], Store], clock: AnyClock, stories: int, only: Collection[str] = (), **how: Any
) -> Lived:
    """`store` is asked for one at the beginning of each story; `only`: the rules of these; `how` goes to hypothesis.

    Raises:
        AssertionError: somebody got what they must not get, or something else in the book is not so.
    """
    loop, lived = asyncio.get_running_loop(), Lived()

    def wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=120)

    class OnThisStore(Clarion):
        """The machine with its store; hypothesis makes one for each story."""

        def __init__(self) -> None:
            super().__init__()
            lived.stories += 1

    for name in {rule.function.__name__ for rule in Clarion.setup_state().rules} if only else ():
        if name not in only:
            setattr(OnThisStore, name, None)
    OnThisStore.store, OnThisStore.clock, OnThisStore.wait = staticmethod(store), clock, staticmethod(wait)  # type: ignore[assignment]
    limits = settings(
        max_examples=stories,
        stateful_step_count=STEPS,
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **how,
    )
    await asyncio.to_thread(run_state_machine_as_test, OnThisStore, settings=limits)
    return lived
