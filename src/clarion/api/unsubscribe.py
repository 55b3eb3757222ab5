"""The link in a message that switches its category off: a page that asks, and one click for mail programs (RFC 8058).

Reading the page changes nothing: programs follow links to look for harm.
"""

import contextlib
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.params import PathParameter

from clarion.api.door import Access
from clarion.api.framework import FromServices
from clarion.api.pages import Pages, as_response
from clarion.api.receivers import HOUR_MS, of_unsubscribe, preferences_url
from clarion.api.services import Services
from clarion.errors import InvalidRequest, NotFound
from clarion.journey.permission import Said
from clarion.journey.rules.consent import locked
from clarion.model import Project, User

TokenInPath = Annotated[str, PathParameter(min_length=1, max_length=1_024, description="The token from the link.")]
_ACCESS: dict[str, Any] = {"opt": {"access": Access(key=None, any_query=True)}, "media_type": "text/html"}
_PAGES = Pages("style.css", "preferences.css")


class _Link(NamedTuple):
    project: Project
    user: User
    category: str
    title: str
    locked: bool


@get("/unsubscribe/{token:str}", **_ACCESS)
async def ask_to_unsubscribe(
    services: FromServices, request: Request[Any, Any, Any], token: TokenInPath
) -> Response[bytes]:
    """A page that asks whether to stop these messages. Nothing changes by reading it."""
    try:
        link = await _read(services, token)
    except NotFound:
        return _gone(request)
    if link.locked:
        return _always(services, link)
    return as_response(
        _PAGES.render(
            "small.html",
            title=f"Stop “{link.title}”?",
            texts=[f"You will get no more messages of this kind from {link.project.name}."],
            button="Stop these messages",
            note="Other messages stay as they are.",
            **_settings(services, link),
        )
    )


@post("/unsubscribe/{token:str}", status_code=200, **_ACCESS)
async def unsubscribe(services: FromServices, request: Request[Any, Any, Any], token: TokenInPath) -> Response[bytes]:
    """Switch the link's category off for its receiver, on all channels."""
    try:
        link = await _read(services, token)
    except NotFound:
        return _gone(request)
    if link.locked:
        return _always(services, link)
    # A category that does not exist any more cannot be sent either.
    with contextlib.suppress(InvalidRequest):
        said = [Said(link.category, None, granted=False)]
        await services.pipeline.consent(link.project, link.user.user_id, said, source="unsubscribe")
    return as_response(
        _PAGES.render(
            "small.html",
            title="Done",
            texts=[f"You will get no more “{link.title}” from {link.project.name}."],
            note="Changed your mind? Your settings switch it on again.",
            **_settings(services, link),
        )
    )


async def _read(services: Services, token: str) -> _Link:
    receiver, name = await of_unsubscribe(services, token)
    project, user = receiver
    category = (await services.catalog.categories(project.key)).get(name)
    if category is None:
        return _Link(project, user, name, name, locked=False)
    return _Link(project, user, name, category.title or category.name, locked(category, project.settings))


def _settings(services: Services, link: _Link) -> dict[str, Any]:
    """The way to everything else that the person may choose, for an hour: messages are passed on."""
    url = preferences_url(services, link.project.key, link.user.key, services.clock.now() + HOUR_MS)
    return {"more": url, "more_words": "See all your settings"}


def _gone(request: Request[Any, Any, Any]) -> Response[bytes]:
    """People get a page; programs, the problem document."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("the link is not one of ours, or too old")
    return as_response(
        _PAGES.render(
            "small.html",
            404,
            title="This link does not work",
            texts=["It may be too old, or a part of it was lost on the way. The link in a newer message will work."],
        )
    )


def _always(services: Services, link: _Link) -> Response[bytes]:
    return as_response(
        _PAGES.render(
            "small.html",
            title=f"“{link.title}” cannot be switched off",
            texts=[f"{link.project.name} sends these messages because they are needed, such as security notices."],
            **_settings(services, link),
        )
    )


UNSUBSCRIBING = (
    ask_to_unsubscribe,
    unsubscribe,
)
