"""Browsers set up as docs/guides/closed-network.md says, by an administrator's means alone."""

import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness import Browser, Chromium, Desktop, Firefox, require
from push_server import PushServer, TlsServer
from website import Site, open_site

from clarion.gateway.gcm.certificate import AUTHORITY, ensure_certificate

pytestmark = pytest.mark.browser
NOBODY = "ws://127.0.0.1:1/"


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[TlsServer]:
    """A server whose certificates an authority of the company signed."""
    folder = tmp_path / "authority"
    folder.mkdir()
    certificate, key = ensure_certificate(folder, ["localhost"], time.time_ns() // 1_000_000)
    server = TlsServer(tmp_path / "server", folder / AUTHORITY, certificate, key)
    await server.start()
    yield server
    server.kill()
    assert server.complaints() == []


async def works(browser: Browser, site: Site) -> None:
    """It subscribes and receives, also what came while it was shut."""
    await browser.goto(site.origin)
    await browser.permission(site.origin, "granted")
    subscription = await browser.run("return await subscribe(arguments[0])", site.public_key)
    await browser.close_tab()
    assert (await site.send(subscription, "now")).status == 201
    assert (await site.pushed()).text == "now"
    await browser.stop()
    await site.send(subscription, "later")
    await browser.start()
    assert (await site.pushed()).text == "later"


async def test_firefox_by_enterprise_policy(company: TlsServer, desktop: Desktop, tmp_path: Path) -> None:
    require("firefox-esr", "libnotify")
    policies = {
        "Certificates": {"Install": [str(tmp_path / "authority" / AUTHORITY)]},
        "Preferences": {"dom.push.serverURL": {"Value": company.push_url, "Status": "locked"}},
    }
    profile = tmp_path / "profile"
    strict = {"dom.push.testing.allowInsecureServerURL": False}
    async with (
        open_site(company.url, company.trust) as site,
        Firefox(profile, NOBODY, desktop.address, strict, policies) as browser,
    ):
        await works(browser, site)


async def test_chromium_by_one_switch_and_a_trusted_authority(
    company: TlsServer, desktop: Desktop, tmp_path: Path
) -> None:
    """The check-in tells the rest."""
    home = trusting_home(tmp_path, tmp_path / "authority" / AUTHORITY)
    switch = f"--gcm-checkin-url={company.url}/gcm/checkin"
    profile = tmp_path / "profile"
    async with (
        open_site(company.url, company.trust) as site,
        Chromium(profile, [switch], desktop.address, trusts_anyone=False, home=home) as browser,
    ):
        await works(browser, site)


async def test_chromium_trusts_the_authority_that_the_server_makes(desktop: Desktop, tmp_path: Path) -> None:
    server = PushServer(tmp_path / "server")
    await server.start()
    try:
        home = trusting_home(tmp_path, server.data / AUTHORITY)
        switch = f"--gcm-checkin-url={server.url}/gcm/checkin"
        profile = tmp_path / "profile"
        async with (
            open_site(server.url) as site,
            Chromium(profile, [switch], desktop.address, trusts_anyone=False, home=home) as browser,
        ):
            await works(browser, site)
        assert server.complaints() == []
    finally:
        server.kill()


def trusting_home(folder: Path, authority: Path) -> Path:
    """A home folder in whose NSS database an authority is trusted, as the guide says."""
    require("chromium", "certutil")
    home = folder / "home"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    store = f"sql:{database}"
    for command in (
        ["certutil", "-d", store, "-N", "--empty-password"],
        ["certutil", "-d", store, "-A", "-n", "Clarion", "-t", "C,,", "-i", str(authority)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return home
