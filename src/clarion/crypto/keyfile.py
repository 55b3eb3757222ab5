"""Where the installation's secrets come from: the settings, else a file beside the data, made at the first start."""

import contextlib
import os
import secrets
from pathlib import Path

from clarion.config import Settings
from clarion.errors import ConfigurationError

KEY_FILE = "secret.key"


def secret_keys(settings: Settings) -> list[bytes]:
    """The installation's secrets: from the settings, else from the key file, which is made at the first start."""
    if settings.secret_key:
        return [key.encode() for key in settings.secret_key]
    path = settings.data / KEY_FILE
    try:
        return _kept_keys(path)
    except OSError as error:
        raise ConfigurationError(f"CLARION_DATA: {path} cannot be made or read: {error.strerror}") from None


def _kept_keys(path: Path) -> list[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        # Linked into place whole: another process sees no file or a complete one, and the first one there wins.
        draft = path.parent / f".{KEY_FILE}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48) + "\n", "ascii")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return [line.encode() for line in path.read_text("ascii").split()]
