"""A file that is only added to: what was accepted is in it before the sender learns of it, so no kill loses it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Journal:
    """Entries, each a line of JSON. It outlives the process, not the machine: nothing is synced to the disk."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._encoder = msgspec.json.Encoder()
        self._pending: list[bytes] = []
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)

    def read(self) -> Iterator[list[Any]]:
        """All entries of before. A line that a dying process left unfinished was never answered, and is cut off.

        Raises ValueError when the file is something else.
        """
        whole = 0
        decode = msgspec.json.Decoder(list[Any]).decode
        with self._file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    entry = decode(line)
                except msgspec.MsgspecError:
                    raise ValueError(f"{self._file}: this file holds something else than counts") from None
                yield entry
        os.ftruncate(self._descriptor, whole)

    def add(self, entry: list[Any]) -> None:
        """Into the next write."""
        self._pending.append(self._encoder.encode(entry))

    def write(self) -> None:
        """Everything that was added, in one go."""
        if self._pending:
            data = b"\n".join([*self._pending, b""])
            self._pending.clear()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Write what is left."""
        self.write()
        os.close(self._descriptor)
