"""Schemathesis reads our own OpenAPI document and tries to prove it, or us, wrong over real HTTP."""

import asyncio
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any, Self

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from clarion.config import Settings
from clarion.ports import Store
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import ApiWorld, HttpServer
from story.world import World

EXAMPLES = int(os.environ.get("CLARION_FUZZ_EXAMPLES", "5"))
MOST = 200
NUMBERS = itertools.count()
EXCLUDED = [
    # Well-formed is not yet right: categories must exist, keys be ours, tokens be signed.
    checks.positive_data_acceptance,
]


SETTINGS = Settings(public_url="http://127.0.0.1", allow_plain_users=True, rate_limits=False)


class Served:
    """The API on SQLite, on a port of its own, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        await self._store.open()
        api = await founded(self._store)
        self.keys = {
            "serverKey": api.world.founded.server_key,
            "publicKey": api.world.founded.public_key,
        }
        self._server = HttpServer(api.app)
        serving = asyncio.create_task(self._server.serve())
        self.url = f"http://127.0.0.1:{await self._server.port()}"
        self._ready.set()
        await serving
        await self._store.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)


async def founded(store: Store) -> ApiWorld:
    world = await World(store, ManualClock(), SeededChance()).begin()
    return ApiWorld(world, SETTINGS, backlog_bound=10**9)


async def openapi() -> dict[str, Any]:
    api = await founded(MemoryStore(ManualClock()))
    document: dict[str, Any] = (await api.anyone.get("/openapi.json")).json
    # The order of routes is that of a set, the order of tests must be the same in every process.
    return document | {"paths": {path: dict(sorted(of.items())) for path, of in sorted(document["paths"].items())}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(SqliteStore(tmp_path_factory.mktemp("fuzz"))) as server:
        yield server


def document() -> schemathesis.BaseSchema:
    """Rules hold rules, and steps hold rules: no set of cases made ahead has an end there, those by chance have."""
    by_chance = {"examples": {"enabled": False}, "coverage": {"enabled": False}}
    no_calls = {"include-path": "/v1/webhook_secret", "enabled": False}  # this process makes none, and answers 503
    recursive = {"include-path-regex": "^/v1/(segments|automations)", "phases": by_chance}
    config = schemathesis.Config.from_dict({"operations": [no_calls, recursive]})
    return schemathesis.openapi.from_dict(asyncio.run(openapi()), config=config)


DOCUMENT = document()


@DOCUMENT.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
def test_the_document_is_true(case: schemathesis.Case, served: Served) -> None:
    security = case.operation.definition.raw["security"] or [{}]
    key = served.keys.get(next(iter(security[0]), ""))
    key_told = (case.headers or {}).get("Idempotency-Key", "")
    if 0 < len(key_told) < MOST:
        # Otherwise one case's key would refuse the next case's body before it is looked at.
        case.headers["Idempotency-Key"] = f"{key_told}-{next(NUMBERS)}"
    # A batch is taken for the sake of its good items; the others are named in the answer.
    batch = isinstance(case.body, dict) and bool({"events", "receipts"} & set(case.body))
    case.call_and_validate(
        base_url=served.url,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        excluded_checks=[*EXCLUDED, *([checks.negative_data_rejection] if batch else [])],
    )
