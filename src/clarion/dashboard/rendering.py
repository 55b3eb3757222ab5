"""How every page of the dashboard is answered: its frame, its navigation and the token for its forms."""

from pathlib import Path
from typing import Any

from clarion.dashboard import navigation, words
from clarion.dashboard.session import FORM_FIELD, HOURS, PREFIX, Visit
from clarion.web.http import Answer
from clarion.web.pages import Pages, assets

_HERE = Path(__file__).parent
PAGES = Pages(
    _HERE / "pages",
    {"prefix": PREFIX, "form_field": FORM_FIELD, "hours": HOURS},
    {"whole": words.whole, "short": words.short, "reason": words.reason, "tone": words.tone},
)
ASSETS = assets(_HERE / "assets")


def page(
    visit: Visit, name: str, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), **values: Any
) -> Answer:
    """A whole page for somebody who is signed in."""
    return PAGES.show(
        name,
        status=status,
        headers=headers,
        navigation=navigation.shown(visit.request.path, visit.key.scopes),
        project=visit.project,
        key=visit.key,
        may_send=visit.key.may("send"),
        form_token=visit.form_token,
        **values,
    )


def part(visit: Visit, name: str, **values: Any) -> Answer:
    """A piece of a page, which a script puts in its place."""
    return PAGES.show(name, project=visit.project, may_send=visit.key.may("send"), **values)


def away(path: str, *headers: tuple[str, str]) -> Answer:
    """On to another page, which is asked for anew: loading it again sends no form a second time."""
    return Answer(303, b"", "text/plain; charset=utf-8", (("location", path), ("cache-control", "no-store"), *headers))
