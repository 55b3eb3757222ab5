"""Breaks one rule after the other: the stories must notice each, in so many that it takes seconds.

`make mutate`, or `make mutate ARGS="words of some"`. What is said beside a rule are the words of the book about it.
"""

import asyncio
import sys
import time
from typing import NamedTuple

from hypothesis import Phase
from pytest import MonkeyPatch  # noqa: PT013 - a type, named in every mutation

from clarion.testing import MemoryStore
from invariants.living import live
from invariants.mutations import MUTATIONS, Mutation
from invariants.platform import AnyClock

STORIES = 600


class Caught(NamedTuple):
    """The words of the book about it; None: nobody noticed."""

    words: str | None
    seconds: float


async def tried(mutation: Mutation) -> Caught:
    clock, begun = AnyClock(), time.monotonic()
    with MonkeyPatch.context() as patch:
        mutation(patch)
        try:
            await live(
                lambda: MemoryStore(clock), clock, STORIES, phases=[Phase.generate], database=None, derandomize=True
            )
        except AssertionError as error:
            return Caught(str(error).partition("\n")[0], time.monotonic() - begun)
    return Caught(None, time.monotonic() - begun)


def main(words: str) -> int:
    """How many were not noticed."""
    missed = 0
    for rule, mutation in MUTATIONS.items():
        if words in rule:
            found = asyncio.run(tried(mutation))
            missed += found.words is None
            sys.stdout.write(f"{found.seconds:5.1f} s  {rule:72}{found.words or 'NOT NOTICED'}\n")
            sys.stdout.flush()
    return missed


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])) > 0)
