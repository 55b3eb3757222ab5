"""Versions of templates: every one that was ever written stays readable, and may be written again."""

from collections.abc import Sequence

import msgspec

from clarion.model import Json, Key, Millis, Template
from clarion.ports import Definitions, Page

TEMPLATES = "templates"
_DIGITS = 9


def _kind(name: str) -> str:
    """Where the versions of one template are kept: a name never holds a slash."""
    return f"{TEMPLATES}/{name}"


def _number(version: int) -> str:
    """In the order of numbers, which is that of texts of one length."""
    return f"{version:0{_DIGITS}}"


def as_stored(template: Template) -> Json:
    """The form in which the store keeps it."""
    kept: Json = msgspec.to_builtins(template)
    return kept


async def read(definitions: Definitions, project: Key, name: str, version: int | None = None) -> Template | None:
    """A template as it is, or as it was in a version."""
    if version is not None and not 0 < version < 10**_DIGITS:
        return None
    if version is not None and (body := await definitions.get(project, _kind(name), _number(version))) is not None:
        return msgspec.convert(body, Template)
    body = await definitions.get(project, TEMPLATES, name)
    newest = None if body is None else msgspec.convert(body, Template)
    return newest if newest is not None and version in (None, newest.version) else None


async def keep(definitions: Definitions, project: Key, template: Template, now: Millis) -> Template:
    """The template under the next number, kept for good; who asks for the newest does not get it yet.

    The same words again make no new version, so that all templates may be written at each release. A number that was
    taken by somebody at the same moment, or before the template was deleted, is passed over.
    """
    before = await read(definitions, project, template.name)
    if before is not None:
        await keep_as_it_is(definitions, project, before, now)
        if msgspec.structs.replace(template, version=before.version) == before:
            return before
    version = 1 if before is None else before.version + 1
    while True:
        kept = msgspec.structs.replace(template, version=version)
        if await definitions.add(project, _kind(kept.name), _number(version), as_stored(kept), now):
            return kept
        version += 1


async def keep_as_it_is(definitions: Definitions, project: Key, newest: Template, now: Millis) -> None:
    """One that was written before there were versions is one from now on; of others nothing changes."""
    await definitions.add(project, _kind(newest.name), _number(newest.version), as_stored(newest), now)


async def page(
    definitions: Definitions, project: Key, name: str, cursor: str | None, limit: int
) -> Page[Template] | None:
    """Oldest first; None when there is no such template."""
    newest = await read(definitions, project, name)
    if newest is None:
        return None
    found = await definitions.page(project, _kind(name), cursor, limit)
    items: Sequence[Template] = msgspec.convert(found.items, list[Template])
    if not items and cursor is None:
        items = [newest]
    return Page(items=list(items), next_cursor=found.next_cursor)
