"""What an agent tells of the desktop it runs on."""

import locale
import os
import platform
import re
import time
from contextlib import suppress
from pathlib import Path
from zoneinfo import available_timezones

from clarion import __version__

_LOCALE = re.compile(r"([A-Za-z]{2,8})(?:_([A-Za-z0-9]{1,8}))?(?:[.@].*)?")


def facts() -> dict[str, str]:
    """Language, time zone, name and version; what cannot be known is left out."""
    told = {
        "locale": language(),
        "timezone": time_zone(),
        "model": f"{platform.node() or 'desktop'} ({system_name()})"[:255],
        "app_version": __version__,
    }
    return {name: value for name, value in told.items() if value}


def language() -> str | None:
    """BCP 47, from the environment's `de_AT.UTF-8` (or from the system, where there is no such thing)."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    told = next(filter(None, named), None) or locale.getlocale()[0] or ""
    found = _LOCALE.fullmatch(told)
    if found is None or found[1] in ("C", "POSIX"):
        return None
    return "-".join(part for part in found.groups() if part)


def time_zone() -> str | None:
    """The IANA name, as `TZ`, `/etc/localtime` or `/etc/timezone` give it."""
    candidates = [os.environ.get("TZ", "").removeprefix(":")]
    with suppress(OSError):
        candidates.append(str(Path("/etc/localtime").resolve(strict=True)).rpartition("zoneinfo/")[2])
    with suppress(OSError, UnicodeDecodeError):
        candidates.append(Path("/etc/timezone").read_text("utf-8").strip())
    if time.timezone == 0 and not time.daylight:
        candidates.append("UTC")
    zones = available_timezones()
    return next((name for name in candidates if name in zones), None)


def system_name() -> str:
    """`Debian GNU/Linux 12`, `macOS 15.1`, `Windows 11`."""
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
