"""One server a folder: a lock that ends with the process, however it ends."""

import fcntl
import os
from pathlib import Path

from clarion.errors import ConfigurationError

_held: set[int] = set()


def _forget_in_child() -> None:
    """A forked child must not keep the lock of a parent that was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class FolderLock:
    """Taken by the constructor, given back by `release`.

    Raises:
        ConfigurationError: another server holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "clarion.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise ConfigurationError(
                f"another server (process {owner or 'unknown'}) already serves the folder {folder}; "
                "stop it, or choose another folder with --data"
            ) from None
        _held.add(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let another server in."""
        _held.discard(self._descriptor)
        os.close(self._descriptor)
