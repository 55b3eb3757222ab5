"""Where an agent keeps its things, by the custom of each system."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_NAME = "clarion"


def state_file(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """Keys, ids and what is not done yet: must outlive a restart."""
    return _folder(environ, system, "XDG_STATE_HOME", ".local/state") / "agent.db"


def settings_file(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """What the installed service reads in place of flags."""
    return _folder(environ, system, "XDG_CONFIG_HOME", ".config") / "agent.json"


def cache_folder(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """Pictures; may be removed at any time."""
    if system == "darwin":
        return Path.home() / "Library" / "Caches" / _NAME
    return _folder(environ, system, "XDG_CACHE_HOME", ".cache") / "pictures"


def unit_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The systemd user unit (systemd.unit(5), "User Unit Search Path")."""
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "systemd" / "user" / "clarion-agent.service"


def _folder(environ: Mapping[str, str], system: str, variable: str, default: str) -> Path:
    if system == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    if system == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / _NAME
    return _xdg(environ, variable, default) / _NAME


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """A folder of the XDG Base Directory Specification, which ignores relative paths."""
    told = Path(environ.get(variable) or "")
    return told if told.is_absolute() else Path.home() / default
