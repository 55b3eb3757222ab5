"""A push service for Chromium on the in-memory store, and a small Chromium that comes to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clarion.testing import ManualClock, MemoryStore
from contract.support_gateway import Meddler, PushService
from contract.support_gcm import Browser, checked_in, gcm_service


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


@pytest.fixture
async def service(meddler: Meddler, clock: ManualClock, tmp_path: Path) -> AsyncIterator[PushService]:
    async with gcm_service(meddler, clock, tmp_path) as running:
        yield running


@pytest.fixture
async def browser(service: PushService, tmp_path: Path) -> AsyncIterator[Browser]:
    """It has checked in."""
    async with checked_in(service, tmp_path) as browser:
        yield browser


@pytest.fixture
async def online(browser: Browser) -> Browser:
    """It has logged in."""
    return await browser.back()
