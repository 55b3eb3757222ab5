"""Signing in to the dashboard: what a browser holds, what ends it, and that no other site or project gets in."""

import base64
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from clarion.bootstrap import Platform, check_roles, http_app
from clarion.config import Settings
from clarion.dashboard.app import ROUTES
from clarion.dashboard.session import HOURS, SESSION_COOKIE, where_to
from clarion.journey.founding import add_key
from clarion.model import Notification
from clarion.ports import Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import Api
from contract.support_dashboard import Person, with_dashboard
from story.world import World

HOUR_MS = 3_600_000
SIGN_IN = "Sign in With a server key"


class Desk(NamedTuple):
    world: World
    person: Person

    async def key(self, kind: str = "server", scopes: list[str] | None = None) -> tuple[str, str]:
        """A new key of the project: its id and its text."""
        world = self.world
        key, text = await add_key(
            world.store, world.chance, world.project, world.clock.now(), kind=kind, name=kind, scopes=scopes or ["*"]
        )
        return key.id, text

    async def revoke(self, id: str) -> None:
        assert await self.world.store.projects.revoke_key(self.world.project.key, id, self.world.clock.now())
        await self.world.catalog.changed()

    async def is_in(self) -> bool:
        await self.person.get("/people")
        return SIGN_IN not in self.person.words


@pytest.fixture
async def desk(clock: ManualClock, chance: SeededChance) -> Desk:
    world = await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")
    return Desk(world, Person(with_dashboard(world)))


async def test_a_server_key_opens_a_session_that_does_not_hold_it(desk: Desk) -> None:
    key, person = desk.world.founded.server_key, desk.person
    await person.get("/people?user_id=u1")
    assert SIGN_IN in person.words
    answer = await person.post("/sign-in", follow=False, **(person.hidden | {"key": f"  {key}\n"}))
    assert (answer.status, answer.headers["location"]) == (303, "/dashboard/people?user_id=u1")
    kept = answer.headers["set-cookie"]
    for part in ("; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/dashboard", f"; Max-Age={HOURS * 3600}"):
        assert part in kept
    held = base64.urlsafe_b64decode(person.cookies[SESSION_COOKIE] + "===")
    assert key not in kept
    assert base64.urlsafe_b64decode(key[3:] + "=") not in held
    assert await desk.is_in()
    assert key not in person.text


@pytest.mark.parametrize(
    ("kind", "scopes", "said"),
    [
        ("unknown", [], "not known"),
        ("nothing", [], "not known"),
        ("public", ["*"], "public key"),
        ("server", ["send"], "lacks the scope read"),
    ],
)
async def test_a_key_that_is_not_good_opens_nothing(desk: Desk, kind: str, scopes: list[str], said: str) -> None:
    texts = {"unknown": f"sk_{'A' * 43}", "nothing": ""}
    text = texts.get(kind) or ("" if kind in texts else (await desk.key(kind, scopes))[1])
    answer = await desk.person.sign_in(text)
    assert answer.status == 401
    assert said in desk.person.words
    assert not text or text not in desk.person.text
    assert SESSION_COOKIE not in desk.person.cookies
    assert not await desk.is_in()


async def test_who_tries_often_waits_and_others_do_not(desk: Desk) -> None:
    for _ in range(10):
        assert (await desk.person.sign_in(f"sk_{'A' * 43}")).status == 401
    answer = await desk.person.sign_in(desk.world.founded.server_key)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert not await desk.is_in()
    elsewhere = desk.person.elsewhere("192.0.2.9")
    assert (await elsewhere.sign_in(desk.world.founded.server_key)).status == 200
    desk.world.clock.advance(1_000 * int(answer.headers["retry-after"]))
    await desk.person.sign_in(desk.world.founded.server_key)
    assert await desk.is_in()


async def test_a_session_ends_with_its_time(desk: Desk) -> None:
    await desk.person.sign_in(desk.world.founded.server_key)
    desk.world.clock.advance(HOURS * HOUR_MS - 1_000)
    assert await desk.is_in()
    desk.world.clock.advance(1_000)
    assert not await desk.is_in()


async def test_a_session_ends_with_its_key(desk: Desk) -> None:
    id, text = await desk.key()
    await desk.person.sign_in(text)
    token = desk.person.token
    assert await desk.is_in()
    await desk.revoke(id)
    assert (await desk.person.post("/compose", follow=False, **token)).status == 401
    assert not await desk.is_in()


async def test_a_session_ends_when_its_key_may_not_read_any_more(desk: Desk) -> None:
    id, text = await desk.key()
    await desk.person.sign_in(text)
    await desk.world.store.projects.change_key(desk.world.project.key, id, "less", ["send"])
    await desk.world.catalog.changed()
    assert not await desk.is_in()


async def test_signing_out_takes_the_cookie_and_a_form_of_ours(desk: Desk) -> None:
    await desk.person.sign_in(desk.world.founded.server_key)
    assert (await desk.person.post("/sign-out")).status == 403
    assert await desk.is_in()
    await desk.person.submit("/sign-out")
    assert SESSION_COOKIE not in desk.person.cookies
    assert not await desk.is_in()


async def test_a_cookie_that_somebody_made_is_none(desk: Desk) -> None:
    await desk.person.sign_in(desk.world.founded.server_key)
    good, form = desk.person.cookies[SESSION_COOKIE], desk.person.token["form_token"]
    swapped = ("A" if good[8] != "A" else "B").join((good[:8], good[9:]))
    for forged in (swapped, good[:-2], form, "", "x" * 500, good + "="):
        desk.person.cookies[SESSION_COOKIE] = forged
        assert not await desk.is_in(), forged
    desk.person.cookies[SESSION_COOKIE] = good
    assert await desk.is_in()


# --- forms -----------------------------------------------------------------------------------------------------------


POSTS = sorted(route.pattern for route in ROUTES if route.method == "POST")


@pytest.mark.parametrize("pattern", POSTS)
@pytest.mark.parametrize("kind", ["none", "of_another_session", "of_another_site"])
async def test_a_form_that_was_not_on_our_page_does_nothing(desk: Desk, pattern: str, kind: str) -> None:
    world = desk.world
    await world.subscribe("u1")
    notification = await world.notify("u1", send_at=world.clock.now() + HOUR_MS)
    other = Person(with_dashboard(world))
    await other.sign_in(world.founded.server_key)
    await desk.person.sign_in(world.founded.server_key)
    token = {"none": {}, "of_another_session": other.token, "of_another_site": desk.person.token}[kind]
    headers = {"sec-fetch-site": "cross-site"} if kind == "of_another_site" else {}
    path = pattern.replace(r"([0-9a-zA-Z_-]{1,64})", notification.id).replace("([^/]{1,255})", "spring")
    fields = {"action": "send", "title": "Hello", "once": "0" * 32, "rule.marks": "block"}
    answer = await desk.person.post(path, headers=headers, follow=False, **fields, **token)
    assert answer.status == 403
    assert await desk.is_in()
    stored = await world.store.trail.notification(world.project.key, notification.id)
    assert stored is not None
    assert stored.cancelled_at is None
    assert len((await world.store.trail.notifications(world.project.key, None, 10)).items) == 1
    assert (await world.catalog.project(world.project.key)).settings.lint == {}


async def test_the_form_for_signing_in_is_of_this_browser(desk: Desk) -> None:
    key = desk.world.founded.server_key
    other = Person(with_dashboard(desk.world))
    await other.get("/sign-in")
    assert (await desk.person.post("/sign-in", key=key, **other.hidden)).status == 403
    await desk.person.get("/sign-in")
    assert (await desk.person.post("/sign-in", key=key, **other.hidden)).status == 403
    assert (await desk.person.post("/sign-in", key=key)).status == 403
    assert not await desk.is_in()


async def test_what_is_no_form_is_refused(desk: Desk) -> None:
    await desk.person.sign_in(desk.world.founded.server_key)
    wrong = {"content-type": "text/plain"}
    assert (await desk.person.post("/compose", headers=wrong, **desk.person.token)).status == 400
    await desk.person.get("/compose")
    assert (await desk.person.submit("/compose", title="a\0b")).status == 400
    await desk.person.get("/compose")
    assert (await desk.person.submit("/compose", body="a" * 1_100_000)).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example/dashboard",
        "/v1/users",
        "/dashboardx",
        "/dashboard/\r\nx: y",
        "",
        "/dashboard/sign-out",
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(path: str) -> None:
    assert where_to(path) == "/dashboard"


# --- scopes and projects ---------------------------------------------------------------------------------------------


async def test_a_key_that_may_only_read_only_reads(desk: Desk) -> None:
    await desk.person.sign_in((await desk.key(scopes=["read"]))[1])
    assert (await desk.person.get()).status == 200
    assert "Compose" not in desk.person.words
    token = desk.person.token
    notification = await desk.world.notify("u1", send_at=desk.world.clock.now() + HOUR_MS)
    for path in ("/compose", "/compose/look", f"/notifications/{notification.id}/cancel", "/settings/rules"):
        answer = await desk.person.post(path, action="try", title="Hello", **token)
        assert answer.status == 403, path
        assert "lacks the scope" in desk.person.words
    assert (await desk.person.get("/compose")).status == 403
    await desk.person.get("/settings")
    assert "Save the rules" not in desk.person.words


@pytest.fixture
async def two(store: Store, clock: ManualClock, chance: SeededChance) -> tuple[Desk, World, Notification]:
    """A person of one project, and another project with a secret."""
    mine = await World(store, clock, chance).begin("Mine")
    theirs = await World(store, clock, chance).begin("Theirs")
    await theirs.subscribe("secret-person")
    notification = await theirs.notify("secret-person", title="Their secret", send_at=clock.now() + HOUR_MS)
    await theirs.work()
    desk = Desk(mine, Person(with_dashboard(mine)))
    await desk.person.sign_in(mine.founded.server_key)
    return desk, theirs, notification


async def test_nothing_of_another_project_is_seen_or_touched(two: tuple[Desk, World, Notification]) -> None:
    desk, theirs, secret = two
    token = desk.person.token
    for path in ("", "?range=30d", "/notifications", "/settings", "/compose"):
        assert (await desk.person.get(path)).status == 200
        assert "secret" not in desk.person.text.lower(), path
    for path in (f"/notifications/{secret.id}", f"/notifications/{secret.id}/progress"):
        assert (await desk.person.get(path)).status == 404
        assert "Their secret" not in desk.person.text
    assert (await desk.person.get(f"/people?user_id={quote('secret-person')}")).status == 404
    assert "The story" not in desk.person.words
    assert (await desk.person.post(f"/notifications/{secret.id}/cancel", **token)).status == 404
    stored = await theirs.store.trail.notification(theirs.project.key, secret.id)
    assert stored is not None
    assert stored.cancelled_at is None
    mine = await desk.world.notify("u1", title="Mine")
    await desk.world.work()
    await desk.person.get(f"/notifications/{mine.id}?user_id=secret-person")
    assert "Nobody fits" in desk.person.words
    await desk.person.get("/compose")
    await desk.person.submit("/compose", title="Hello all", action="try", to="everyone")
    assert "1 person" in desk.person.words
    assert "secret-person" not in desk.person.text


# --- the role --------------------------------------------------------------------------------------------------------


async def test_the_pages_are_where_the_role_is_and_nothing_else_with_them(tmp_path: Path) -> None:
    async with Platform(Settings(data=tmp_path)).opened() as platform:
        with_role = Api(http_app(platform, check_roles(["dashboard"])))
        assert (await with_role.get("/dashboard/sign-in")).status == 200
        assert (await with_role.get("/healthz")).status == 200
        assert (await with_role.get("/v1/project")).status == 404
        without = Api(http_app(platform, check_roles(["api", "worker"])))
        assert (await without.get("/dashboard/sign-in")).status == 404
        assert "dashboard" in check_roles([])
