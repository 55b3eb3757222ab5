"""Runs: where people are in automations. They wait as rows with a due time, and cost nothing until then."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from clarion.model import Ended, Key, Millis, Run
from clarion.ports.nouns import Page


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs of the people in hand are needed: those named, all under way, those of (automation, run key, user)."""

    keys: Sequence[Key] = ()
    under_way: bool = False
    named: Sequence[tuple[str, str, Key]] = ()


class RunRecord(NamedTuple):
    """A run as the API shows it."""

    user_id: str
    run: Run


class StepCount(NamedTuple):
    """How many runs of a version are at a step, or ended there."""

    version: int
    step: int
    ended: Ended | None
    runs: int


class Runs(Protocol):
    """What is asked of runs outside of a step; they change in `Effects`, while their people are held."""

    async def hand_out(self, now: Millis, limit: int) -> int:
        """Up to `limit` due runs become `RunsWork`, those at one step together; how many they were.

        It looks at due runs alone, however many wait.
        """
        ...

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Run]:
        """Those that are still there."""
        ...

    async def under_way(self, project: Key, users: Sequence[Key]) -> list[Run]:
        """Of these people, in all automations."""
        ...

    async def cancel(self, project: Key, automation: str, user: Key | None, run_key: str | None, now: Millis) -> int:
        """End runs that are under way: of a person, under a key, or all; how many."""
        ...

    async def page(
        self, project: Key, automation: str, user: Key | None, run_key: str | None, cursor: str | None, limit: int
    ) -> Page[RunRecord]:
        """The runs of an automation, those that ended too, oldest first."""
        ...

    async def newest(
        self,
        project: Key,
        automation: str,
        user: Key | None,
        run_key: str | None,
        limit: int,
        *,
        under_way: bool = False,
    ) -> list[RunRecord]:
        """The runs that began last, the last one first; of a person, under a key; `under_way`: none that ended."""
        ...

    async def counts(self, project: Key, automation: str) -> list[StepCount]:
        """How many are where, in no order."""
        ...

    async def totals(self, project: Key, automations: Sequence[str]) -> dict[str, Mapping[Ended | None, int]]:
        """How many runs of each ended in which way; None: under way. What there is none of is left out."""
        ...
