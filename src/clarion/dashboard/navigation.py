"""The pages by name: a new page is a line here and its routes in `app`."""

from typing import NamedTuple

from clarion.dashboard.session import PREFIX


class Entry(NamedTuple):
    """A line of the navigation. `icon` is a symbol of `icons.svg`; `scope`: what a key needs to be shown it."""

    path: str
    title: str
    icon: str
    scope: str = "read"


NAVIGATION = (
    Entry(PREFIX, "Overview", "overview"),
    Entry(f"{PREFIX}/compose", "Compose", "compose", scope="send"),
    Entry(f"{PREFIX}/notifications", "Notifications", "notifications"),
    Entry(f"{PREFIX}/campaigns", "Campaigns", "campaigns"),
    Entry(f"{PREFIX}/automations", "Automations", "automations"),
    Entry(f"{PREFIX}/segments", "Segments", "segments"),
    Entry(f"{PREFIX}/losses", "Losses", "losses"),
    Entry(f"{PREFIX}/people", "People", "people"),
    Entry(f"{PREFIX}/settings", "Settings", "settings"),
)


def shown(path: str, scopes: list[str]) -> list[dict[str, object]]:
    """What a page shows, with the entry that it belongs to marked."""
    fitting = [one for one in NAVIGATION if path == one.path or path.startswith(f"{one.path}/")]
    here = max(fitting, key=lambda one: len(one.path), default=None)
    return [{**one._asdict(), "current": one is here} for one in NAVIGATION if "*" in scopes or one.scope in scopes]
