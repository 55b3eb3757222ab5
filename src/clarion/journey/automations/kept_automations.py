"""Versions of automations: runs finish on the one that they began with, so all of them stay."""

import msgspec

from clarion.journey.automations.flow import Flow
from clarion.model import Automation, Json, Key, Millis
from clarion.ports import Definitions

AUTOMATIONS = "automations"
_DIGITS = 9


def _kind(name: str) -> str:
    """Where the versions of one automation are kept: a name never holds a slash."""
    return f"{AUTOMATIONS}/{name}"


def as_stored(automation: Automation) -> Json:
    """The form in which the store keeps it."""
    kept: Json = msgspec.to_builtins(automation)
    return kept


async def read(definitions: Definitions, project: Key, name: str, version: int) -> Automation | None:
    """An automation as it was in a version."""
    body = await definitions.get(project, _kind(name), f"{version:0{_DIGITS}}")
    return None if body is None else msgspec.convert(body, Automation)


async def keep(
    definitions: Definitions, project: Key, automation: Automation, before: Automation | None, now: Millis
) -> Automation:
    """It under the next number, which nobody else has, kept for good. The same again is no new version.

    Numbers of one that was deleted are passed over: runs of before must not go on as something else.
    """
    version = 1 if before is None else before.version
    if before is not None:
        waited = set(before.also_watched) | (Flow(before).watched if before.steps is not None else set())
        automation = msgspec.structs.replace(automation, also_watched=sorted(waited))
        if msgspec.structs.replace(automation, version=version, also_watched=before.also_watched) == before:
            return before
        version += 1
    while True:
        kept = msgspec.structs.replace(automation, version=version)
        if await definitions.add(project, _kind(kept.name), f"{version:0{_DIGITS}}", as_stored(kept), now):
            return kept
        version += 1
