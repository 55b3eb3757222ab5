"""Real browsers on a desktop of their own, driven from async tests.

async with Desktop() as desktop, Firefox(tmp_path / "profile", push_url, desktop.address) as firefox:
    await firefox.goto(page)
    …
    notification = await desktop.next_notification()
    desktop.click(notification)
    await firefox.tab("/orders/1")
"""

import os
import shutil
from ctypes.util import find_library

import pytest

from harness.browser import Browser, BrowserError
from harness.chromium import Chromium, gcm_switches
from harness.desktop import Desktop, Notification
from harness.firefox import Firefox

__all__ = ["Browser", "BrowserError", "Chromium", "Desktop", "Firefox", "Notification", "gcm_switches", "require"]


def require(*names: str) -> None:
    """Skip the calling test where a program or a library (`lib…`) is missing; fail it in CI, which promises them all.

    Firefox loads `libnotify` when it first talks to a desktop, and no package of it says so.
    """
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"not installed: {', '.join(missing)}")


def _is_installed(name: str) -> bool:
    return bool(find_library(name.removeprefix("lib")) if name.startswith("lib") else shutil.which(name))
