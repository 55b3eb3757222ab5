"""The dashboard behind the real door, and a browser that keeps cookies and sends the forms that it was shown."""

import re
from collections.abc import Mapping
from copy import copy
from html import unescape
from urllib.parse import urlencode

from clarion import dashboard
from clarion.api.limits import Backlog, Buckets
from clarion.crypto.sessions import SessionTokens
from clarion.crypto.signing import Signer
from clarion.dashboard.session import FORM_FIELD, PREFIX
from clarion.journey.founding import add_key
from contract.api_world import Api, ApiWorld, Reply
from story.world import SECRET, World

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
_TAGS = re.compile(r"<[^>]*>")
FORM = "application/x-www-form-urlencoded"


def dashboard_of(world: World, **more: object) -> dashboard.DashboardApp:
    """The app to mount."""
    told = {
        "backlog": Backlog(world.store.work, world.clock).check,
        "attempts": Buckets(world.clock, 0.2, 10),
    } | more
    return dashboard.DashboardApp(
        dashboard.Services(
            pipeline=world.pipeline,
            store=world.store,
            catalog=world.catalog,
            clock=world.clock,
            chance=world.chance,
            sessions=SessionTokens(Signer([SECRET])),
            **told,  # type: ignore[arg-type]
        )
    )


def with_dashboard(world: World, **more: object) -> ApiWorld:
    """The API of a world, with the dashboard beside it."""
    return ApiWorld(world, mounts={PREFIX: dashboard_of(world, **more)})


async def reading_key(world: World) -> str:
    """The text of a key that may look at everything and do nothing."""
    _, text = await add_key(
        world.store, world.chance, world.project, world.clock.now(), kind="server", name="reader", scopes=["read"]
    )
    return text


class Person:
    """Somebody before a browser. `page` is what they see."""

    def __init__(self, api: ApiWorld, client: str = "192.0.2.1") -> None:
        self._api = Api(api.app)
        self._client = client
        self.cookies: dict[str, str] = {}
        self.page: Reply

    def elsewhere(self, client: str) -> "Person":
        """Somebody else, at another address, before the same server."""
        other = copy(self)
        other._client, other.cookies = client, {}
        return other

    @property
    def text(self) -> str:
        """The page's HTML."""
        return self.page.body.decode()

    @property
    def words(self) -> str:
        """What is to be read on the page."""
        return " ".join(unescape(_TAGS.sub(" ", self.text)).split())

    @property
    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page's forms."""
        return {name: unescape(value) for name, value in _HIDDEN.findall(self.text)}

    async def get(self, path: str = "", *, follow: bool = True) -> Reply:
        return await self._call("GET", PREFIX + path, follow=follow)

    async def post(
        self, path: str, *, follow: bool = True, headers: Mapping[str, str] | None = None, **fields: str
    ) -> Reply:
        """Send a form as it stands, with nothing added."""
        body, told = urlencode(fields).encode(), {"content-type": FORM, **(headers or {})}
        return await self._call("POST", PREFIX + path, body, told, follow=follow)

    async def submit(self, path: str, **fields: str) -> Reply:
        """Send a form of the page that is seen, hidden fields and all."""
        return await self.post(path, **(self.hidden | fields))

    async def sign_in(self, key: str) -> Reply:
        await self.get("/sign-in")
        return await self.submit("/sign-in", key=key)

    @property
    def token(self) -> dict[str, str]:
        """The token that forms of this session carry."""
        return {FORM_FIELD: self.hidden[FORM_FIELD]}

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        follow: bool,
    ) -> Reply:
        told = dict(headers or {})
        if self.cookies:
            told["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = await self._api.call(method, path, body=body, headers=told, client=self._client)
        self._keep(reply.headers.get("set-cookie"))
        if follow and reply.status == 303:
            return await self._call("GET", reply.headers["location"], follow=True)
        self.page = reply
        return reply

    def _keep(self, told: str | None) -> None:
        if told is None:
            return
        name, _, value = told.partition(";")[0].partition("=")
        if "max-age=0" in told.lower():
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
