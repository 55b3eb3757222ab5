"""The shop and the live page as one ASGI app; the shop's own server side tells Clarion what happened."""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from clarion.demo import data, visitors
from clarion.demo.live import Story, stream
from clarion.demo.services import Services
from clarion.errors import ClarionError, InvalidRequest, NotFound, Unavailable
from clarion.journey.story import WAY
from clarion.model import Event, Json, Project
from clarion.web.http import Answer, Receive, Request, Scope, Send
from clarion.web.pages import Pages, assets

POLL_S = 0.5
MOST_WATCHERS = 32

_HERE = Path(__file__).parent
_SHELF = [product._asdict() for product in data.PRODUCTS]
# Spread over the sky without chance: the same night for everybody.
_STARS = [(at * 389 % 1440, at * 71 % 210 + 8, 1.6 if at % 7 == 0 else 0.9) for at in range(1, 64)]
_PRODUCTS = {product.code: product for product in data.PRODUCTS}
_ORDER = re.compile(r"([A-Z]+)-[A-Z2-7]{8}")
_WORKER = b'importScripts("/sdk/clarion-sw.js");\n'


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop's page posts to its own server."""

    product: Literal["kettle", "mug", "fern", "throw", "lamp", "candle"]


class Happening(msgspec.Struct, forbid_unknown_fields=True):
    """Something else that may happen to a visitor."""

    what: Literal["sign_in", "offer"]


_HAPPENINGS: dict[str, tuple[str, Json]] = {
    "sign_in": (data.SIGNED_IN, {"place": "Tromsø"}),
    "offer": (data.OFFER_WISHED, {}),
}


def create_demo_app(
    services: Services, *, project: Project, public_key: str, server_url: str, push_url: str, poll_s: float = POLL_S
) -> "DemoApp":
    """The app to mount at `/`: the shop, the page that tells what happened, and the site's own service worker.

    `server_url` is how the world reaches us, without a trailing slash; `push_url` is what a Firefox's
    `dom.push.serverURL` is set to; `poll_s` is how often a watched story is looked at.
    """
    common = {
        "shop": project.name,
        "public_key": public_key,
        "push_url": push_url,
        "prefs": _prefs(push_url),
        "firefox_command": firefox_command(push_url, f"{server_url}/shop"),
    }
    return DemoApp(services, project, Pages(_HERE / "pages", common), poll_s)


def _prefs(push_url: str) -> list[dict[str, str]]:
    """What points a Firefox at our push service."""
    prefs = [{"name": "dom.push.serverURL", "value": push_url, "why": "our push service instead of Mozilla's"}]
    if push_url.startswith("ws://"):
        why = "without it Firefox takes only wss, with a certificate"
        prefs.append({"name": "dom.push.testing.allowInsecureServerURL", "value": "true", "why": why})
    return prefs


def firefox_command(push_url: str, page: str) -> str:
    """One line for a shell: a Firefox with a throw-away profile that is pointed at our push service."""
    lines = []
    for pref in _prefs(push_url):
        value = pref["value"] if pref["value"] == "true" else f'"{pref["value"]}"'
        lines.append(shlex.quote(f'user_pref("{pref["name"]}", {value});'))
    return (
        f'P=$(mktemp -d) && printf "%s\\n" {" ".join(lines)} > "$P/user.js" '
        f'&& firefox --no-remote --profile "$P" {shlex.quote(page)}'
    )


class DemoApp:
    """An ASGI app. Call `stop()` when the server begins to shut down: watchers would otherwise hold it up."""

    def __init__(self, services: Services, project: Project, pages: Pages, poll_s: float) -> None:
        self._services = services
        self._project = project
        self._pages = pages
        self._assets = assets(_HERE / "assets")
        self._poll_s = poll_s
        self._stopping = asyncio.Event()
        self._watchers = 0
        self._posts: Mapping[str, Callable[[Request], Awaitable[Answer]]] = {
            "/shop/orders": self._place_order,
            "/shop/happenings": self._let_happen,
        }
        self._gets: Mapping[str, Callable[[Request], Answer]] = {
            "/": self._entrance,
            "/shop": self._shop,
            "/live": self._live,
            "/clarion-sw.js": self._worker,
        }
        self._children: Mapping[str, Callable[[Request, str], Answer]] = {
            "/shop/orders": partial(self._order_page, "order"),
            "/shop/track": partial(self._order_page, "track"),
            "/shop/assets": self._asset,
        }

    def stop(self) -> None:
        """End every stream of the live page, and refuse new ones."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request.of(scope, receive)
        try:
            if request.path == "/live/events" and request.method == "GET":
                await self._watch(request, send)
                return
            answer = await self._answer(request)
        except ClarionError as error:
            answer = self._trouble(request, error)
        await answer.send(request.method, send)

    # --- routes ------------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Answer:
        path = request.path
        parent, _, name = path.rpartition("/")
        if request.method == "POST" and path in self._posts:
            return await self._posts[path](request)
        if path not in self._gets and parent not in self._children:
            raise NotFound("This page is not part of the shop.")
        if request.method not in ("GET", "HEAD"):
            return Answer(405, b"", "text/plain; charset=utf-8", (("allow", "GET, HEAD"),))
        return self._gets[path](request) if path in self._gets else self._children[parent](request, name)

    def _entrance(self, _request: Request) -> Answer:
        return Answer(303, b"", "text/plain; charset=utf-8", (("location", "/shop"),))

    def _shop(self, request: Request) -> Answer:
        return self._page(request, "shop", products=_SHELF, stars=_STARS)

    def _worker(self, _request: Request) -> Answer:
        return Answer(200, _WORKER, "text/javascript; charset=utf-8", (("cache-control", "no-cache"),))

    def _asset(self, request: Request, name: str) -> Answer:
        if name not in self._assets:
            raise NotFound(f"There is no file {name}.")
        return self._assets[name].answer(request)

    def _page(self, request: Request, name: str, *, status: int = 200, **values: object) -> Answer:
        """A page for this visitor, who gets a name at the first one."""
        visitor = visitors.known_visitor(request)
        headers: tuple[tuple[str, str], ...] = ()
        if visitor is None:
            visitor = visitors.new_visitor(self._services.chance)
            headers = (visitors.remember(visitor, request.scheme),)
        return self._pages.show(name, status=status, headers=headers, visitor=visitor, **values)

    def _order_page(self, page: str, request: Request, order: str) -> Answer:
        """An order's id says what was ordered, so that nothing has to be kept."""
        found = _ORDER.fullmatch(order)
        product = _PRODUCTS.get(found[1].lower()) if found else None
        if product is None:
            raise NotFound(f"There is no order {order}.")
        return self._page(request, page, order=order, product=product._asdict())

    def _live(self, request: Request) -> Answer:
        user = request.query.get("user")
        return self._page(request, "live", user=None if user is None else _user(user), way=WAY)

    async def _watch(self, request: Request, send: Send) -> None:
        user = _user(request.query.get("user", ""))
        if self._watchers >= MOST_WATCHERS or self._stopping.is_set():
            raise Unavailable("too many pages are watching", retry_after=5)
        self._watchers += 1
        try:
            story = Story(self._services, self._project, user)
            await stream(story, request.receive, send, self._stopping, self._poll_s)
        finally:
            self._watchers -= 1

    # --- the shop's own server side ----------------------------------------------------------------------------------

    async def _place_order(self, request: Request) -> Answer:
        visitor = _buyer(request)
        product = _PRODUCTS[(await _posted(request, Order)).product]
        order = f"{product.code}-{visitors.letters(self._services.chance)}".upper()
        await self._tell(visitor, data.ORDER_PLACED, {"order": order, "product": product.name}, order)
        return _json(201, {"order": order, "url": f"/shop/orders/{order}"})

    async def _let_happen(self, request: Request) -> Answer:
        visitor = _buyer(request)
        what = (await _posted(request, Happening)).what
        name, properties = _HAPPENINGS[what]
        await self._tell(visitor, name, properties, f"{what}-{visitors.letters(self._services.chance)}")
        return _json(202, {"what": what})

    async def _tell(self, visitor: str, name: str, properties: Json, id: str) -> None:
        """All that a shop has to do: say what happened, and to whom."""
        event = Event(user_id=visitor, name=name, properties=properties, occurred_at=self._services.clock.now(), id=id)
        await self._services.pipeline.ingest(self._project, [event])

    def _trouble(self, request: Request, error: ClarionError) -> Answer:
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if wants_page:
            return self._page(request, "missing", status=error.status, words=error.detail)
        retry = () if error.retry_after is None else (("retry-after", str(error.retry_after)),)
        body = {"title": error.title, "status": error.status, "code": error.code, "detail": error.detail}
        return _json(error.status, body, "application/problem+json", retry)


def _user(text: str) -> str:
    if not 0 < len(text) <= 256:  # noqa: PLR2004 - said in the message
        raise InvalidRequest.field("user", "say whose story: /live?user=…, at most 256 characters")
    return text


def _buyer(request: Request) -> str:
    visitor = visitors.known_visitor(request)
    if visitor is None:
        raise InvalidRequest.field("visitor", "open /shop first: it gives you a name, in a cookie")
    return visitor


_Posted = TypeVar("_Posted", Order, Happening)


async def _posted(request: Request, shape: type[_Posted]) -> _Posted:
    """The JSON body. Other types are refused: only those can be sent from another site without asking."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise InvalidRequest.field("content-type", "takes application/json")
    try:
        return msgspec.json.decode(await request.body(), type=shape)
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error)) from None


def _json(status: int, body: Json, type: str = "application/json", headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, msgspec.json.encode(body), type, (("cache-control", "no-store"), *headers))
