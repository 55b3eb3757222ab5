"""Who has quiet hours just now, asked again where a decision is older than the hour: what was late, what is fired."""

from collections.abc import Collection, Mapping, Sequence

from clarion.journey.catalog import Catalog
from clarion.journey.rules import Quiet, Ruling, needs_preferences, needs_zones
from clarion.model import Key, Millis, Notification, Project
from clarion.ports import Asked, Store

_NOTHING = Asked()


class Resting:
    """Quiet hours by what is known of people now."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    async def anybody_may(self, project: Project, notification: Notification) -> bool:
        """Whether the project or the category has quiet hours, which hold for who asked for none."""
        category = (await self._catalog.categories(project.key)).get(notification.message.category)
        return category is not None and needs_zones([category], project.settings)

    async def own(self, project: Project, users: Sequence[Key]) -> set[Key]:
        """Who of these people has quiet hours of their own."""
        asked = await self._store.steps.asked(project.key, users, zones=False)
        return {user for user, told in asked.items() if told.preferences and told.preferences.quiet_hours}

    async def rulings(
        self,
        project: Project,
        notifications: Mapping[Key, Notification],
        pairs: Collection[tuple[Key, Key]],
        now: Millis,
    ) -> dict[tuple[Key, Key], Ruling]:
        """Of those (notification, user) that may not be disturbed now: until when, or that then it is too late."""
        categories, settings = await self._catalog.categories(project.key), project.settings
        names = {one.message.category for one in notifications.values()}
        worn = [categories[name] for name in names if name in categories]
        if not needs_preferences(worn) or not pairs:
            return {}
        zones = needs_zones(worn, settings)
        users = sorted({user for _, user in pairs})
        asked = await self._store.steps.asked(project.key, users, zones=zones)
        if not asked and not zones:
            return {}
        quiet = {
            key: Quiet(one, categories[one.message.category], settings, now)
            for key, one in notifications.items()
            if one.message.category in categories
        }
        found = {}
        for key, user in pairs:
            if key in quiet:
                told = asked.get(user, _NOTHING)
                ruling = quiet[key].rest(told.zone, told.preferences).ruling(user)
                if ruling.reason is not None:
                    found[key, user] = ruling
        return found
