"""Looking into segments: how many people are in them now, and some of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clarion.journey.segments.lookup import crowd_in
from clarion.model import Key, Millis, Segment
from clarion.ports import Store


class Look(NamedTuple):
    """How many people are in it, and the first of them."""

    size: int
    sample: list[str]


async def look(store: Store, project: Key, name: str, known: Mapping[str, Segment], now: Millis, sample: int) -> Look:
    """With up to `sample` people; `known`: all segments of the project, this one too."""
    crowd = crowd_in(name, known, now)
    page = await store.audiences.page(project, crowd, None, sample)
    few = page.next_cursor is None
    return Look(len(page.items) if few else await store.audiences.count(project, crowd), page.items)


async def sizes(
    store: Store, project: Key, names: Sequence[str], known: Mapping[str, Segment], now: Millis
) -> dict[str, int]:
    """How many people are in each of several segments."""
    crowds = [crowd_in(name, known, now) for name in names]
    return dict(zip(names, await store.audiences.counts(project, crowds), strict=True))
