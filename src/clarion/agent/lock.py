"""One agent a state file: two would push each other off the socket without end."""

import os
import sys
from pathlib import Path

from clarion.errors import ConfigurationError


class Lock:
    """Beside the file that it guards; ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError when another agent holds it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        if not _take(self._descriptor):
            os.close(self._descriptor)
            raise ConfigurationError(
                f"an agent with the state {path} already runs; for a second one give another file with --state"
            )

    def release(self) -> None:
        """Let another agent begin."""
        os.close(self._descriptor)


def held(path: Path) -> bool:
    """Whether an agent with this state runs now."""
    try:
        Lock(path).release()
    except ConfigurationError:
        return True
    return False


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
