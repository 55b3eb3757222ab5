"""Settings: what the project's rules are, to be read; what titles may be is changed here too."""

from typing import Any

import msgspec

from clarion.dashboard.forms import posted
from clarion.dashboard.rendering import away, page
from clarion.dashboard.session import PREFIX, Visit
from clarion.errors import InvalidRequest, NotFound
from clarion.intelligence.honesty import RULES
from clarion.journey.texts import honesty
from clarion.model import Category
from clarion.web.http import Answer

_RULE = "rule."


async def show(visit: Visit) -> Answer:
    """`GET /dashboard/settings`."""
    settings = visit.project.settings
    told = honesty.levels(settings)
    categories = await visit.services.catalog.categories(visit.project.key)
    return page(
        visit,
        "settings",
        rules=[{"name": rule.name, "about": rule.about, "level": told[rule.name]} for rule in RULES.values()],
        levels=honesty.LEVELS,
        may_change=visit.key.may("admin"),
        saved="saved" in visit.request.query,
        categories=[_category(one) for one in categories.values()],
        settings=settings,
    )


async def save_rules(visit: Visit) -> Answer:
    """`POST /dashboard/settings/rules`: what each rule of title honesty does."""
    fields = await posted(visit)
    visit.demand("admin")
    told = {name.removeprefix(_RULE): level for name, level in fields.items() if name.startswith(_RULE)}
    for name, level in told.items():
        if (wrong := honesty.unknown(name)) is not None:
            raise InvalidRequest.field(f"lint.{name}", wrong)
        if level not in honesty.LEVELS:
            raise InvalidRequest.field(f"lint.{name}", f"must be one of {', '.join(honesty.LEVELS)}")
    # As it is in the database now, and not as some process remembers it.
    project = await visit.services.store.projects.get(visit.project.key)
    if project is None:
        raise NotFound("The project is gone.")
    lint = {name: level for name, level in {**project.settings.lint, **told}.items() if level != honesty.WARN}
    changed = msgspec.structs.replace(project, settings=msgspec.structs.replace(project.settings, lint=lint))
    await visit.services.store.projects.update(changed)
    await visit.services.catalog.changed()
    return away(f"{PREFIX}/settings?saved=1")


def _category(one: Category) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title or one.name,
        "description": one.description,
        "class": one.class_.value,
        "channels": [channel.value for channel in one.channels],
        "templates": one.templates,
        "keys": one.keys,
    }
