"""Gate: control groups, which get nothing, so that what a message does can be told from what happens anyway."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from clarion.journey.rules.ruling import Ruling
from clarion.model import Message, ProjectSettings, Reason

_SCALE = 1 << 64
_IN_NONE = Ruling(None, "in no control group")


class Group(NamedTuple):
    """Who is in it: those whose BLAKE2b hash of `seed` and user id lies below `below`, its first eight bytes."""

    seed: bytes
    below: bytes
    held_out: Ruling


def groups(project_id: str, settings: ProjectSettings, message: Message) -> tuple[Group, ...]:
    """The control groups that this message has: the project's, and its own; none as a rule.

    A group's seed has its key and nothing of the message: whoever is in it gets none of the messages with that key. A
    larger percentage keeps all who were in it before.
    """
    if not settings.holdout_percent and message.holdout is None:
        return ()
    found = [_group(project_id, "", settings.holdout_percent)]
    if message.holdout is not None:
        found.append(_group(project_id, message.holdout.key, message.holdout.percent))
    return tuple(group for group in found if group is not None)


@lru_cache(maxsize=1024)
def _group(project_id: str, key: str, percent: float) -> Group | None:
    below = round(percent / 100 * _SCALE)
    if not below:
        return None
    named = f"control group {key}" if key else "global control group"
    ruling = Ruling(Reason.HOLDOUT, f"{named} ({percent:.12g} %)")
    return Group(f"{project_id}\n{key}\n".encode(), below.to_bytes(8), ruling)


def holdout(groups: Iterable[Group], user_id: str) -> Ruling:
    """The first of the groups that the person is in keeps the message back. About 0.3 µs for each group."""
    person = user_id.encode()
    for seed, below, held_out in groups:
        # Compared as bytes, longer than `below`: the same order as that of the numbers, and no number is made.
        if blake2b(seed + person).digest() < below:
            return held_out
    return _IN_NONE
