"""The demo's shop tells what happens, and its pages are kind, safe and exact."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from clarion import demo
from clarion.demo import live
from clarion.demo.app import firefox_command
from clarion.journey import draft
from clarion.journey.permission import Said
from contract.support_demo import JSON, SERVER, Shop, ask, shop
from story.world import payload

__all__ = ["shop"]


# --- from the order to the notification -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("en-GB", "Your order is on its way", "Tide mug left our harbour today."),
        ("de-AT", "Deine Bestellung ist unterwegs", "Tide mug hat heute unseren Hafen verlassen."),
        ("fi", "Your order is on its way", "Tide mug left our harbour today."),
    ],
)
async def test_an_order_becomes_a_notification_in_the_visitors_language(
    shop: Shop, locale: str, title: str, body: str
) -> None:
    await shop.world.subscribe(shop.visitor, locale=locale)
    order = await shop.order()
    await shop.world.work()
    [message] = shop.world.browser.sent
    shown = payload(message)
    assert (shown["title"], shown["body"]) == (title, body)
    assert shown["url"] == f"{SERVER}/shop/orders/{order}"
    assert [(action["id"], action["url"]) for action in shown["actions"]] == [("track", f"{SERVER}/shop/track/{order}")]
    for link in (shown["url"], shown["actions"][0]["url"], shown["icon"], shown["badge"]):
        assert (await ask(shop.app, "GET", link.removeprefix(SERVER))).status == 200


async def test_an_offer_waits_for_a_yes_and_security_needs_none(shop: Shop) -> None:
    await shop.world.subscribe(shop.visitor)
    await shop.happen("offer")
    await shop.happen("sign_in")
    await shop.world.work()
    assert [payload(message)["category"] for message in shop.world.browser.sent] == ["security"]

    world = shop.world
    await world.pipeline.consent(world.project, shop.visitor, [Said("offers", None, granted=True)], source="test")
    await shop.happen("offer")
    await world.work()
    assert [payload(message)["category"] for message in world.browser.sent] == ["security", "offers"]


async def test_every_definition_of_the_demo_passes_the_checks_of_the_api(shop: Shop) -> None:
    catalog, key = shop.world.catalog, shop.world.project.key
    categories, templates = await catalog.categories(key), await catalog.templates(key)
    automations = (await catalog.automations(key)).values()
    assert {"orders", "security", "offers"} <= set(categories)
    problems = [draft.check_category(category, templates, {}) for category in categories.values()]
    problems += [draft.check_template(template, {}) for template in templates.values()]
    problems += [draft.check_automation(automation, categories, templates, {}) for automation in automations]
    assert problems == [[]] * (len(categories) + len(templates) + len(automations))


async def test_preparing_again_changes_nothing_but_the_links(shop: Shop) -> None:
    world = shop.world
    before = {kind: await world.store.definitions.all(world.project.key, kind) for kind in ("categories", "templates")}
    await demo.prepare(world, world.project, server_url="http://elsewhere.example")
    for kind, bodies in before.items():
        assert await world.store.definitions.all(world.project.key, kind) == bodies
    automations = await world.catalog.automations(world.project.key)
    assert len(automations) == 3
    assert automations["order_shipped"].notification.url == "http://elsewhere.example/shop/orders/{{ event.order }}"


# --- the shop's server ----------------------------------------------------------------------------------------------


async def test_a_visitor_keeps_the_name_that_the_first_page_gave(shop: Shop) -> None:
    again = await ask(shop.app, "GET", "/shop", shop.cookie)
    assert "set-cookie" not in again.headers
    assert f'data-visitor="{shop.visitor}"' in again.text
    forged = await ask(shop.app, "GET", "/shop", {"cookie": 'visitor="><script>alert(1)</script>'})
    assert "alert(1)" not in forged.text
    assert "HttpOnly" in forged.headers["set-cookie"]
    assert "Secure" in (await ask(shop.app, "GET", "/shop", scheme="https")).headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({**JSON}, b'{"product":"mug"}', 400, "visitor"),
        ({**JSON, "cookie": "visitor=somebody"}, b'{"product":"mug"}', 400, "visitor"),
        ({"content-type": "text/plain", "cookie": "ok"}, b'{"product":"mug"}', 400, "application/json"),
        ({**JSON, "cookie": "ok"}, b'{"product":"yacht"}', 400, "product"),
        ({**JSON, "cookie": "ok"}, b'{"product":"mug","price":0}', 400, "price"),
        ({**JSON, "cookie": "ok"}, b"mug", 400, "JSON"),
        ({**JSON, "cookie": "ok"}, b" " * 5000, 413, "2048"),
    ],
)
async def test_a_wrong_order_is_refused_and_starts_nothing(
    shop: Shop, headers: dict[str, str], body: bytes, status: int, said: str
) -> None:
    if headers.get("cookie") == "ok":
        headers = {**headers, **shop.cookie}
    answer = await ask(shop.app, "POST", "/shop/orders", headers, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json["detail"]
    assert await shop.world.work() == 0


async def test_what_is_not_there_and_what_is_not_done_are_told_apart(shop: Shop) -> None:
    page = {"accept": "text/html,*/*"}
    for target in ("/shop/orders/YACHT-AAAAAAAA", "/shop/orders/x%3Cscript%3E", "/shop/nothing", "/live/nothing"):
        answer = await ask(shop.app, "GET", target, page)
        assert answer.status == 404
        assert "<script>" not in answer.text
    assert (await ask(shop.app, "GET", "/shop/assets/../app.py")).status == 404
    assert (await ask(shop.app, "DELETE", "/shop")).status == 405
    head = await ask(shop.app, "HEAD", "/shop")
    assert (head.status, head.body) == (200, b"")


async def test_a_mount_may_have_cut_its_part_off_the_path(shop: Shop) -> None:
    answer = await ask(shop.app, "GET", "/", raw_path=b"/clarion-sw.js?x=1", root_path="/clarion-sw.js")
    assert answer.text == 'importScripts("/sdk/clarion-sw.js");\n'
    assert answer.headers["content-type"].startswith("text/javascript")


# --- the pages ------------------------------------------------------------------------------------------------------

PAGES = ["/shop", "/shop/orders/MUG-K7Q2MZAB", "/shop/track/LAMP-K7Q2MZAB", "/live", "/shop/orders/none"]


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_needs_nothing_from_elsewhere_and_keeps_a_strict_policy(shop: Shop, page: str) -> None:
    answer = await ask(shop.app, "GET", page, {"accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", answer.text)
    for asset in set(re.findall(r'(?:src|href)="(/shop/assets/[^"]+)"', answer.text)):
        found = await ask(shop.app, "GET", asset)
        assert found.status == 200, asset
        again = await ask(shop.app, "GET", asset, {"if-none-match": found.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_no_asset_asks_another_site() -> None:
    folder = Path(live.__file__).parent / "assets"
    for path in (*folder.glob("*.css"), *folder.glob("*.js"), *folder.glob("*.webmanifest")):
        assert not re.search(r"https?://", path.read_text("utf-8")), path.name


async def test_the_page_shows_how_to_point_a_firefox_at_us(shop: Shop) -> None:
    text = (await ask(shop.app, "GET", "/shop")).text
    for words in ("dom.push.serverURL", "ws:&#x2f;&#x2f;127.0.0.1:8701", "dom.push.testing.allowInsecureServerURL"):
        assert words in text
    assert "allowInsecure" not in firefox_command("wss://push.example/", f"{SERVER}/shop")


def test_the_firefox_command_writes_the_preferences_that_it_shows(tmp_path: Path) -> None:
    firefox = tmp_path / "firefox"
    firefox.write_text('#!/bin/sh\ncat "$3/user.js"; echo "$4"\n')
    firefox.chmod(0o755)
    command = firefox_command("ws://127.0.0.1:8701/", f"{SERVER}/shop?it's=odd")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        'user_pref("dom.push.serverURL", "ws://127.0.0.1:8701/");',
        'user_pref("dom.push.testing.allowInsecureServerURL", true);',
        f"{SERVER}/shop?it's=odd",
    ]


# --- the banner -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False])
def test_the_banner_shows_links_and_whole_keys_only_once(new: bool) -> None:
    server_key, public_key = "sk_" + "a" * 39 + "1234", "pk_" + "b" * 39 + "5678"
    links = demo.Links(
        shop="http://127.0.0.1:8700/shop",
        live="http://127.0.0.1:8700/live",
        dashboard="http://127.0.0.1:8700/dashboard",
        docs="http://127.0.0.1:8700/docs",
        push="ws://127.0.0.1:8701/",
        server_key=server_key,
        public_key=public_key,
        keys_are_new=new,
    )
    console = Console(width=100, record=True, file=SimpleNamespace(write=lambda _: None, flush=lambda: None))
    demo.banner(console, links)
    text = console.export_text()
    assert all(link in text for link in (links.shop, links.live, links.dashboard, links.docs, links.push))
    assert (server_key in text, public_key in text) == (new, new)
    assert ("sk_…1234" in text) is not new
