"""The two ways into a Clarion: over HTTP with a key, or straight into the folder or database on this machine."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from clarion.cli.problem import Misuse
from clarion.cli.settings import toml_file
from clarion.model import Json

DEFAULT_SERVER = "http://127.0.0.1:8700"


class Door(Protocol):
    """What commands ask for. Bodies and answers are those of the HTTP API, whichever door it is.

    Every method raises Problem or ClarionError when it cannot do what it says.
    """

    async def notify(self, body: Json) -> Json:
        """`POST /v1/notifications`."""
        ...

    async def events(self, body: Json) -> Json:
        """`POST /v1/events`; waits when it is told to."""
        ...

    async def lint(self, body: Json) -> Json:
        """`POST /v1/lint`."""
        ...

    async def preview(self, template: str, body: Json) -> Json:
        """`POST /v1/templates/{template}/preview`."""
        ...

    async def fire(self, notification_id: str) -> Json:
        """`POST /v1/notifications/{id}/fire`."""
        ...

    async def replace(self, notification_id: str, changes: Json) -> Json:
        """`POST /v1/notifications/{id}/replace`."""
        ...

    async def withdraw(self, notification_id: str) -> Json:
        """`POST /v1/notifications/{id}/withdraw`."""
        ...

    async def results(self, notification_id: str) -> Json:
        """`GET /v1/notifications/{id}/results`."""
        ...

    async def story(self, user_id: str, notification_id: str | None) -> Json:
        """`GET /v1/users/{user_id}/story`."""
        ...

    async def preview_segment(self, body: Json) -> Json:
        """`POST /v1/segments/preview`."""
        ...

    async def automations(self) -> list[Json]:
        """All of `GET /v1/automations`."""
        ...

    async def automation(self, name: str) -> tuple[Json, Json]:
        """`GET /v1/automations/{name}`, and its `/counts`."""
        ...

    async def cancel_runs(self, name: str, which: Json) -> Json:
        """`POST /v1/automations/{name}/cancel`."""
        ...

    async def add_to_segment(self, name: str, users: Sequence[str]) -> Json:
        """`POST /v1/segments/{name}/users`."""
        ...

    async def campaigns(self) -> Json:
        """`GET /v1/campaigns`, all pages as one."""
        ...

    async def campaign(self, name: str) -> Json:
        """`GET /v1/campaigns/{name}`."""
        ...

    async def turn_campaign(self, name: str, verb: str) -> Json:
        """`POST /v1/campaigns/{name}/{verb}`: start, pause, resume or cancel."""
        ...

    async def keys(self) -> Json:
        """`GET /v1/keys`, all pages as one."""
        ...

    async def create_key(self, body: Json) -> Json:
        """`POST /v1/keys`."""
        ...

    async def alerts(self) -> Json:
        """`GET /v1/alerts`."""
        ...

    async def losses(self, by: str, days: int) -> Json:
        """`GET /v1/losses`."""
        ...

    async def revoke_key(self, id: str) -> None:
        """`DELETE /v1/keys/{id}`."""
        ...


class Where(NamedTuple):
    """What the flags said; None where they were not given."""

    server: str | None
    key: str | None
    data: Path | None
    project: str | None


def opened(where: Where) -> AbstractAsyncContextManager[Door]:
    """The door that the flags name, else the one that the environment names; flags win.

    Raises:
        Misuse: the flags contradict each other, or nothing names a door.
    """
    if where.data is not None and (where.server or where.key):
        raise Misuse("Two places at once", "--data opens a folder here; --server and --key ask a server. Choose one.")
    key = where.key or os.environ.get("CLARION_KEY")
    if where.data is None and key:
        from clarion.cli.remote import Remote  # noqa: PLC0415 - an HTTP client, which local commands do not need

        return Remote(where.server or os.environ.get("CLARION_SERVER") or DEFAULT_SERVER, key)
    if where.data is None and (where.server or not _names_a_store(os.environ)):
        raise Misuse(
            "A key is missing",
            "Ask a server with --server and --key (or CLARION_SERVER and CLARION_KEY),\n"
            "  or open a folder on this machine with --data.",
        )
    from clarion.cli.folder import Folder  # noqa: PLC0415 - the whole platform, which remote commands do not need

    return Folder(where.data, where.project)


def is_named(where: Where) -> bool:
    """Whether flags or environment name a door, for commands that can do without."""
    return any(where) or bool(os.environ.get("CLARION_KEY")) or _names_a_store(os.environ)


def _names_a_store(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("CLARION_DATA") or environ.get("CLARION_DATABASE_URL") or toml_file())
