"""A Firefox as people have it: the shop over https, the push service over wss, a certificate that is renewed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from clarion_server import Demo, eventually
from harness import BrowserError, Desktop, Firefox, require
from visitor import Visitor

from certificates import Authority, Pair, shown_at

pytestmark = pytest.mark.browser

HELLOS = "clarion_push_hellos_total"
CONNECTIONS = "clarion_push_connections"


class Shop(NamedTuple):
    """The demo with a certificate."""

    demo: Demo
    authority: Authority
    pair: Pair
    serial: int

    async def shown(self) -> set[int]:
        """The serial numbers of the certificates that new connections to the two ports see."""
        ports = self.demo.port, self.demo.push_port
        return {await shown_at(port, self.authority.trust()) for port in ports}


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """Running; what it logs as an error fails the test."""
    require("firefox-esr", "libnotify", "certutil")
    authority, pair = Authority(tmp_path), Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    serial = authority.issue(pair)
    demo = Demo(tmp_path / "demo", pair.settings(), trust=authority.trust())
    await demo.start()
    try:
        yield Shop(demo, authority, pair, serial)
    finally:
        await demo.stop()
    assert demo.complaints() == []


async def test_a_push_over_tls_and_a_renewal_while_connected(shop: Shop, desktop: Desktop, tmp_path: Path) -> None:
    demo = shop.demo
    assert (demo.url[:8], demo.push_url[:6]) == ("https://", "wss://")
    assert f"{demo.url}/shop " in demo.banner
    assert f"{demo.push_url} " in demo.banner
    firefox = Firefox(tmp_path / "profile", demo.push_url, desktop.address, authority=shop.authority.path)
    async with firefox:
        visitor = Visitor(firefox, demo)
        await visitor.subscribe()
        await visitor.leave()
        await demo.ship(visitor.name, "MUG-AAAA1111")
        assert (await desktop.next_notification()).summary == "Your order is on its way"
        await demo.receipt(visitor.name, "displayed")
        assert await shop.shown() == {shop.serial}

        hellos = await demo.metric(HELLOS)
        renewed = shop.authority.issue(shop.pair, rsa_key=True)
        await eventually(shop.shown, lambda seen: seen == {renewed}, "both ports to show the new certificate")
        await demo.ship(visitor.name, "MUG-AAAA2222")
        desktop.click(await desktop.next_notification())
        assert await firefox.switch_to("/shop/orders/") == f"{demo.url}/shop/orders/MUG-AAAA2222"
        await demo.receipt(visitor.name, "clicked")
        assert (await demo.metric(HELLOS), await demo.metric(CONNECTIONS)) == (hellos, 1), "it connected anew"

        await firefox.restart()
        await eventually(lambda: demo.metric(HELLOS), lambda count: count == hellos + 1, "Firefox to connect again")
        await demo.ship(visitor.name, "MUG-AAAA3333")
        await desktop.next_notification()


async def test_a_firefox_that_does_not_know_the_authority_stays_outside(
    shop: Shop, desktop: Desktop, tmp_path: Path
) -> None:
    async with Firefox(tmp_path / "profile", shop.demo.push_url, desktop.address) as firefox:
        with pytest.raises(BrowserError, match="InsecureCertificate"):
            await firefox.goto(shop.demo.url)
