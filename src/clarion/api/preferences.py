"""The preference page: what a person gets, by which channel and when, behind a signed link and without a login.

A plain form, so that it works without scripts. A link that is forged or too old gets a friendly page, and changes
nothing.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.params import PathParameter

from clarion.api import preference_words as words_of
from clarion.api.door import Access
from clarion.api.framework import FromServices
from clarion.api.languages import chosen, wanted
from clarion.api.pages import Pages, as_response
from clarion.api.preference_form import Filled, Shown, change, filled, said, shown_hours
from clarion.api.receivers import Receiver, of_preferences
from clarion.api.services import Services
from clarion.errors import InvalidRequest, NotFound
from clarion.journey.permission import Preference
from clarion.model import CategoryClass, PersonPreference
from clarion.ports import FactsQuery

TokenInPath = Annotated[str, PathParameter(min_length=1, max_length=512, description="The token from the link.")]
_ACCESS: dict[str, Any] = {
    "opt": {"access": Access(key=None, any_query=True, limit=64 * 1024)},
    "media_type": "text/html",
}
_PAGES = Pages("style.css", "preferences.css")
_SOURCE = "preference_page"
_MOST_FIELDS = 5_000
_VARIES = (b"vary", b"accept-language")


class _Visit(NamedTuple):
    """The person, what holds for them now, and the language that they read."""

    receiver: Receiver
    categories: list[Preference]
    asked: PersonPreference
    language: str
    words: dict[str, str]

    @property
    def shown(self) -> Shown:
        """What the form shows."""
        return Shown(self.categories, self.asked)


@get("/preferences/{token:str}", **_ACCESS)
async def show_preferences(
    services: FromServices, request: Request[Any, Any, Any], token: TokenInPath
) -> Response[bytes]:
    """A page on which a person sees and changes what they get. Nothing changes by reading it."""
    try:
        visit = await _visit(services, request, token)
    except NotFound:
        return _gone(request)
    return await _page(services, visit, saved="saved" in request.query_params)


@post("/preferences/{token:str}", status_code=200, **_ACCESS)
async def save_preferences(
    services: FromServices, request: Request[Any, Any, Any], token: TokenInPath
) -> Response[bytes]:
    """Save the page's form: switches by category and channel, the pause of marketing, quiet hours of one's own."""
    try:
        visit = await _visit(services, request, token)
    except NotFound:
        return _gone(request)
    body = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidRequest(f"a form has at most {_MOST_FIELDS} fields") from None
    form = filled(fields, visit.asked.quiet_hours)
    if form.problem is not None:
        return await _page(services, visit, form=form)
    await _save(services, visit, form)
    # A page that is loaded again asks, and does not send the form a second time.
    return Response(b"", status_code=303, headers={"location": "?saved=1", "cache-control": "no-store"})


async def _save(services: Services, visit: _Visit, form: Filled) -> None:
    (project, user), now = visit.receiver, services.clock.now()
    switched = said(visit.shown, form, visit.words)
    if switched:
        version = f"{words_of.EDITION} ({visit.language})"
        await services.pipeline.consent(project, user.user_id, switched, source=_SOURCE, wording_version=version)
    wish = change(visit.shown, form, now)
    if wish is not None:
        await services.store.preferences.put(project.key, user.key, wish, now)


async def _visit(services: Services, request: Request[Any, Any, Any], token: str) -> _Visit:
    """Raises NotFound."""
    receiver = await of_preferences(services, token)
    language, tags = _language(request)
    categories = await services.pipeline.preferences(
        receiver.project, receiver.user, tags[0] if tags else receiver.user.locale
    )
    asked = await services.store.preferences.get(receiver.project.key, receiver.user.key)
    return _Visit(receiver, categories, asked, language, words_of.WORDS[language])


def _language(request: Request[Any, Any, Any]) -> tuple[str, list[str]]:
    tags = wanted(request.headers.get("accept-language", ""))
    return chosen(tags, words_of.WORDS, words_of.DEFAULT), tags


async def _page(
    services: Services, visit: _Visit, *, saved: bool = False, form: Filled | None = None
) -> Response[bytes]:
    """The form as things stand; with `form`, as it was filled in, and what is wrong with it."""
    words, project = visit.words, visit.receiver.project
    zone = await _zone(services, visit.receiver)
    until = visit.asked.marketing_paused_until or 0
    paused = until > services.clock.now()
    start, end = shown_hours(visit.asked.quiet_hours)
    answer = _PAGES.render(
        "preferences.html",
        400 if form else 200,
        language=visit.language,
        words=words,
        site=project.name,
        about=words["about"].format(site=project.name),
        zone=words["zone"].format(zone=zone.replace("_", " ")),
        categories=[_shown(one, words, form) for one in visit.categories],
        has_marketing=any(one.class_ is CategoryClass.MARKETING for one in visit.categories),
        paused=form.pause if form else paused,
        paused_until=words["paused"].format(date=words_of.day(words, _day(until, zone))) if paused else None,
        quiet=form.quiet if form else visit.asked.quiet_hours is not None,
        start=form.start if form else start,
        end=form.end if form else end,
        problem=words[form.problem] if form and form.problem else None,
        saved=saved,
    )
    return as_response(answer._replace(headers=(*answer.headers, _VARIES)))


def _shown(one: Preference, words: dict[str, str], form: Filled | None) -> dict[str, Any]:
    return {
        "name": one.category,
        "title": one.title,
        "description": one.description,
        "locked": one.locked,
        "channels": [
            {
                "value": f"{one.category}/{channel}",
                "title": words_of.channel(words, channel),
                "on": one.locked or (f"{one.category}/{channel}" in form.on if form else on),
            }
            for channel, on in one.channels.items()
        ],
    }


async def _zone(services: Services, receiver: Receiver) -> str:
    """The person's own, else that of the device that was seen last, else the project's."""
    query = FactsQuery(users=[receiver.user.key], zones=True)
    facts = await services.store.steps.facts(receiver.project.key, query)
    found = next((one.zone for one in facts.recipients), None)
    return found or receiver.project.settings.default_timezone


def _day(at: int, zone: str) -> datetime:
    try:
        return datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # a device told a zone that nobody knows
        return datetime.fromtimestamp(at / 1000, UTC)


def _gone(request: Request[Any, Any, Any]) -> Response[bytes]:
    """People get a page; programs, the problem document."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("the link is not one of ours, or too old")
    language, _ = _language(request)
    words = words_of.WORDS[language]
    answer = _PAGES.render("small.html", 404, language=language, title=words["gone_title"], texts=[words["gone"]])
    return as_response(answer._replace(headers=(*answer.headers, _VARIES)))


PREFERENCES = (
    show_preferences,
    save_preferences,
)
