"""Browsers set up as docs/guides/closed-network.md says, by an administrator's means alone."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness import Browser, Chromium, Desktop, Firefox, require
from push_server import PushServer
from website import Site, open_site

from certificates import Authority, Pair
from clarion.transport.authority import AUTHORITY

pytestmark = pytest.mark.browser
NOBODY = "ws://127.0.0.1:1/"


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The company's own."""
    return Authority(tmp_path)


@pytest.fixture
async def company(tmp_path: Path, authority: Authority) -> AsyncIterator[PushServer]:
    """A server with a certificate of the company on every port."""
    pair = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    authority.issue(pair)
    server = PushServer(tmp_path / "server", pair.settings(), authority.trust())
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


async def test_firefox_by_enterprise_policy(
    company: PushServer, authority: Authority, desktop: Desktop, tmp_path: Path
) -> None:
    require("firefox-esr", "libnotify")
    policies = {
        "Certificates": {"Install": [str(authority.path)]},
        "Preferences": {"dom.push.serverURL": {"Value": company.push_url, "Status": "locked"}},
    }
    profile = tmp_path / "profile"
    strict = {"dom.push.testing.allowInsecureServerURL": False}  # as it is unless somebody says otherwise
    async with (
        open_site(company.url, company.trust) as site,
        Firefox(profile, NOBODY, desktop.address, strict, policies=policies) as browser,
    ):
        await works(browser, site)


async def test_chromium_by_one_switch_and_a_trusted_authority(
    company: PushServer, authority: Authority, desktop: Desktop, tmp_path: Path
) -> None:
    """The check-in tells the rest."""
    home = trusting_home(tmp_path, authority.path)
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
