"""The dashboard as one ASGI app: signing in, and then one table of routes for all pages."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from clarion.dashboard import (
    automations,
    campaigns,
    composing,
    losses,
    notifications,
    overview,
    people,
    results,
    segments,
    settings,
)
from clarion.dashboard.forms import fields_of, posted
from clarion.dashboard.recent import Recent
from clarion.dashboard.rendering import ASSETS, PAGES, away, page
from clarion.dashboard.services import Services
from clarion.dashboard.session import (
    FORM_FIELD,
    PREFIX,
    Visit,
    check_form,
    new_salt,
    salt_before,
    sign_in,
    sign_out,
    visit_of,
    where_to,
)
from clarion.errors import ClarionError, NotFound, RateLimited, Unauthenticated
from clarion.web.http import Answer, Receive, Request, Scope, Send

_SMALL_FORM = 4_096
_SIGN_IN = f"{PREFIX}/sign-in"
_ASSETS = f"{PREFIX}/assets/"


class Route(NamedTuple):
    """A page for who is signed in. `pattern` follows the prefix; its groups are arguments of `answer`."""

    method: str
    pattern: str
    answer: Callable[..., Awaitable[Answer]]


async def _sign_out(visit: Visit) -> Answer:
    await posted(visit)
    return away(_SIGN_IN, sign_out(visit.services, visit.request))


_ID = r"([0-9a-zA-Z_-]{1,64})"
_NAME = r"([^/]{1,255})"
ROUTES = (
    Route("GET", "", overview.show),
    Route("GET", "/compose", composing.show_empty),
    Route("POST", "/compose", composing.submit),
    Route("POST", "/compose/look", composing.look),
    Route("GET", "/notifications", notifications.show_list),
    Route("GET", f"/notifications/{_ID}", notifications.show_one),
    Route("GET", f"/notifications/{_ID}/progress", notifications.show_progress),
    Route("POST", f"/notifications/{_ID}/cancel", notifications.cancel),
    Route("GET", f"/notifications/{_ID}/results", results.show),
    Route("GET", "/campaigns", campaigns.show_list),
    Route("GET", f"/campaigns/{_NAME}", campaigns.show_one),
    Route("GET", f"/campaigns/{_NAME}/progress", campaigns.show_progress),
    Route("POST", f"/campaigns/{_NAME}/start", campaigns.start),
    Route("POST", f"/campaigns/{_NAME}/pause", campaigns.pause),
    Route("POST", f"/campaigns/{_NAME}/resume", campaigns.resume),
    Route("POST", f"/campaigns/{_NAME}/cancel", campaigns.cancel),
    Route("GET", "/automations", automations.show_list),
    Route("GET", f"/automations/{_NAME}", automations.show_one),
    Route("GET", f"/automations/{_NAME}/cancel", automations.ask_to_cancel),
    Route("POST", f"/automations/{_NAME}/cancel", automations.cancel),
    Route("GET", "/segments", segments.show_list),
    Route("GET", f"/segments/{_NAME}", segments.show_one),
    Route("GET", "/losses", losses.show),
    Route("GET", "/people", people.show),
    Route("GET", "/settings", settings.show),
    Route("POST", "/settings/rules", settings.save_rules),
    Route("POST", "/sign-out", _sign_out),
)


class DashboardApp:
    """An ASGI app, to be mounted at `PREFIX`."""

    def __init__(self, services: Services, routes: Sequence[Route] = ROUTES) -> None:
        self._services = services
        self._recent = Recent(services)
        self._routes = [(re.compile(re.escape(PREFIX) + route.pattern), route) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request.of(scope, receive)
        await (await self._answer(request)).send(request.method, send)

    async def _answer(self, request: Request) -> Answer:
        visit = None
        try:
            if request.path.startswith(_ASSETS):
                return _asset(request)
            if request.path == _SIGN_IN:
                return await self._sign_in(request)
            visit = await visit_of(self._services, self._recent, request)
            return await self._page(request, visit)
        except ClarionError as error:
            return _trouble(visit, error)

    async def _page(self, request: Request, visit: Visit | None) -> Answer:
        method = "GET" if request.method == "HEAD" else request.method
        found = [(route, match) for pattern, route in self._routes if (match := pattern.fullmatch(request.path))]
        if visit is None:
            return self._stranger(request)
        for route, match in found:
            if route.method == method:
                return await route.answer(visit, *match.groups())
        if found:
            allowed = ", ".join(sorted({route.method for route, _ in found}))
            return Answer(405, b"", "text/plain; charset=utf-8", (("allow", allowed), ("cache-control", "no-store")))
        raise NotFound("This page is not part of the dashboard.")

    def _stranger(self, request: Request) -> Answer:
        """Pages are shown after signing in; nothing else happens for who did not, nor is told what there is."""
        if request.method not in ("GET", "HEAD"):
            raise Unauthenticated("Your session is over. Sign in, and do it again: nothing was done.")
        whole = request.path + (f"?{request.raw_query}" if request.raw_query else "")
        onward = "" if request.path == PREFIX else f"?next={quote(whole, safe='')}"
        return away(f"{_SIGN_IN}{onward}")

    async def _sign_in(self, request: Request) -> Answer:
        services = self._services
        if request.method != "POST":
            return self._sign_in_page(request, onward=where_to(request.query.get("next", "")))
        fields = await fields_of(request, _SMALL_FORM)
        onward = where_to(fields.get("next", ""))
        try:
            check_form(services, request, fields.get(FORM_FIELD, ""), salt_before(services, request))
            begun = await sign_in(services, request, fields.get("key", ""))
        except ClarionError as error:
            return self._sign_in_page(request, onward=onward, error=error)
        return away(onward, begun)

    def _sign_in_page(self, request: Request, *, onward: str, error: ClarionError | None = None) -> Answer:
        salt, kept = new_salt(self._services, request)
        headers = (kept, ("retry-after", str(error.retry_after))) if isinstance(error, RateLimited) else (kept,)
        return PAGES.show(
            "sign_in",
            status=error.status if error else 200,
            headers=headers,
            form_token=self._services.sessions.form_token(salt),
            onward=onward,
            problem=error.detail if error else None,
        )


def _asset(request: Request) -> Answer:
    name = request.path.removeprefix(_ASSETS)
    if name not in ASSETS or request.method not in ("GET", "HEAD"):
        raise NotFound("There is no such file.")
    return ASSETS[name].answer(request)


def _trouble(visit: Visit | None, error: ClarionError) -> Answer:
    """What went wrong, in the frame of the page where there is one."""
    told = {"title": error.title, "detail": error.detail, "sign_in": _SIGN_IN}
    headers = () if error.retry_after is None else (("retry-after", str(error.retry_after)),)
    if visit is None:
        return PAGES.show("outside", status=error.status, headers=headers, **told)
    return page(visit, "problem", status=error.status, headers=headers, **told)
