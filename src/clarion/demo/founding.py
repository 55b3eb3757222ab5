"""The demo's project: founded at the first start, found again at the next, with the keys that people have by then."""

from pathlib import Path

import msgspec

from clarion.crypto.sealing import Sealer
from clarion.demo.data import PROJECT_ID, PROJECT_NAME, SETTINGS, prepare
from clarion.demo.services import Services
from clarion.journey.founding import add_key, found
from clarion.model import Key, Project

DEMO_FILE = "demo.json"


class DemoKeys(msgspec.Struct, frozen=True):
    """The demo's keys, kept beside its data so that links and shells go on working after a restart."""

    project: Key
    server_key: str
    public_key: str
    new: bool = False


async def demo_project(services: Services, sealer: Sealer, data: Path, *, server_url: str) -> DemoKeys:
    """The keys of the demo's project, which is ready when it returns. They are kept in the folder `data`."""
    path = data / DEMO_FILE
    project = await services.store.projects.find(PROJECT_ID)
    if project is not None and path.exists():
        keys = msgspec.json.decode(path.read_bytes(), type=DemoKeys)
    else:
        keys = await _found(services, sealer, project)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(keys, new=False)))
        project = await services.catalog.project(keys.project)
    await prepare(services, project, server_url=server_url)
    return keys


async def _found(services: Services, sealer: Sealer, project: Project | None) -> DemoKeys:
    store, chance, now = services.store, services.chance, services.clock.now()
    if project is None:
        founded = await found(store, sealer, chance, now, PROJECT_NAME, id=PROJECT_ID, settings=SETTINGS)
        return DemoKeys(founded.project.key, founded.server_key, founded.public_key, new=True)
    _, server_key = await add_key(store, chance, project, now, kind="server", name="demo")
    _, public_key = await add_key(store, chance, project, now, kind="public", name="demo")
    return DemoKeys(project.key, server_key, public_key, new=True)
