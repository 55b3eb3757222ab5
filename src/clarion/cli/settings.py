"""Where settings come from: flags, else the environment, else `clarion.toml` or the file that CLARION_CONFIG names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clarion import config
from clarion.config import Settings

FILE = "clarion.toml"


def toml_file() -> Path | None:
    """The settings file: the one that is named, which must be there, or the one in this folder, which may be."""
    if named := os.environ.get("CLARION_CONFIG"):
        return Path(named)
    here = Path(FILE)
    return here if here.exists() else None


def load(defaults: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """The settings of this run; `defaults` stand in for environment variables that are not set.

    Raises:
        ConfigurationError: names each setting that is unknown or wrong.
    """
    return config.load({**(defaults or {}), **os.environ}, toml_file(), **flags)
