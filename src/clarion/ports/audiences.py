"""Who is meant when a caller does not name people: rules over everything known of them, and lists that are kept."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from clarion.model import DeviceKind, Key, Millis, Rule
from clarion.ports.nouns import Page

RosterKind: TypeAlias = Literal["topic", "list", "automation"]
"""The lists that are kept: the subscribers of a topic, the people of a segment that is a list."""


class Crowd(msgspec.Struct, frozen=True):
    """Who is meant, as a rule at one moment.

    `segments` are those that the rule refers to, and those that they do, by name: their rules, None for a list. One
    that is not among them is empty. They do not lead in a circle. `name` is what it is called in `Facts.members`.
    """

    name: str
    rule: Rule
    segments: dict[str, Rule | None]
    now: Millis


class Reach(NamedTuple):
    """People who have an active device that may show something: of any kind, and of each that there is.

    Who has devices of two kinds counts for both.
    """

    people: int
    by_kind: dict[DeviceKind, int]


class Audiences(Protocol):
    """Rules looked up, and lists kept."""

    async def keys(self, project: Key, crowd: Crowd, after: Key, limit: int) -> list[Key]:
        """The first `limit` people beyond the key `after`, in key order. One statement, about everybody, each time."""
        ...

    async def page(self, project: Key, crowd: Crowd, cursor: str | None, limit: int) -> Page[str]:
        """Their public ids, in key order."""
        ...

    async def count(self, project: Key, crowd: Crowd) -> int: ...
    async def counts(self, project: Key, crowds: Sequence[Crowd]) -> list[int]:
        """Of several, in their order; a few of them in each statement."""
        ...

    async def reach(self, project: Key, crowd: Crowd) -> Reach:
        """Who of them can be reached, and by which devices. One statement."""
        ...

    async def add(self, project: Key, kind: RosterKind, name: str, users: Sequence[str], now: Millis) -> int:
        """Put people on a list, which begins with the first of them; how many were not on it. New ids become users."""
        ...

    async def remove(self, project: Key, kind: RosterKind, name: str, users: Sequence[str]) -> int:
        """Take people off a list; how many were on it."""
        ...

    async def listed(self, project: Key, kind: RosterKind, name: str, cursor: str | None, limit: int) -> Page[str]:
        """The public ids on a list, oldest user first."""
        ...

    async def unlike(
        self, project: Key, crowd: Crowd, kind: RosterKind, name: str, after: Key, limit: int
    ) -> list[tuple[Key, bool]]:
        """Who is in the crowd and not on a list (True), or on it and not in the crowd (False).

        The first `limit` beyond the key `after`, in key order. One statement, about everybody, each time.
        """
        ...

    async def sizes(self, project: Key, kind: RosterKind, names: Sequence[str]) -> dict[str, int]:
        """How many people are on each of these lists; 0 for one that has nobody or does not exist."""
        ...

    async def of_user(self, project: Key, kind: RosterKind, user: Key) -> list[str]:
        """The names of the lists that a person is on, sorted."""
        ...

    async def drop(self, project: Key, kind: RosterKind, name: str) -> None:
        """The list is no more."""
        ...
