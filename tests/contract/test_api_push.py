"""Our own push service as the API shows it: broadcasts, and which devices are connected."""

from typing import Any, cast

import pytest

from clarion.ports import PushService
from contract.api_world import ApiWorld


async def test_a_broadcast_is_set_and_listed(api: ApiWorld) -> None:
    for path, id in (("catalog%2Fprices", "catalog/prices"), ("news", "news")):
        made = await api.server.put(f"/v1/push/broadcasts/{path}", {"version": "v1"})
        assert (made.status, made.json) == (200, {"id": id, "version": "v1"})
    await api.server.put("/v1/push/broadcasts/news", {"version": "v2"})
    listed = await api.server.get("/v1/push/broadcasts")
    assert listed.json == {
        "items": [{"id": "catalog/prices", "version": "v1"}, {"id": "news", "version": "v2"}],
        "next_cursor": None,
    }


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("news", {}, "version"),
        ("news", {"version": ""}, "version"),
        ("news", {"version": 7}, "version"),
        ("news", {"version": "x" * 256}, "version"),
        ("news", {"version": "v1", "text": "x"}, "text"),
        ("x" * 101, {"version": "v1"}, "broadcast_id"),
    ],
)
async def test_what_is_wrong_with_a_broadcast_is_named(api: ApiWorld, path: str, body: Any, field: str) -> None:
    refused = await api.server.put(f"/v1/push/broadcasts/{path}", body)
    assert (refused.status, list(refused.fields)) == (400, [field])
    assert (await api.server.get("/v1/push/broadcasts")).json["items"] == []


async def test_only_administrators_tell_all_devices_something(api: ApiWorld) -> None:
    for scopes in (["read"], ["write", "send"]):
        key = await api.key(scopes=scopes)
        assert (await key.put("/v1/push/broadcasts/news", {"version": "v1"})).status == 403


class Known:
    """A push service that knows one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def presence(self, addresses: list[str | None]) -> list[bool | None]:
        return [None if "own" not in (address or "") else address == self.address for address in addresses]


async def test_devices_tell_whether_they_are_connected(api: ApiWorld) -> None:
    api = ApiWorld(api.world, push_service=cast("PushService", Known("https://own.example.com/a")))
    for name in ("a", "b"):
        await api.subscribe("u1", address=f"https://own.example.com/{name}")
    await api.subscribe("u1")
    await api.server.post("/v1/devices", {"user_id": "u1", "kind": "email", "address": "ada@example.org"})
    listed = (await api.server.get("/v1/users/u1/devices")).json["items"]
    assert [(each["address"], each["connected"]) for each in listed] == [
        ("https://own.example.com/a", True),
        ("https://own.example.com/b", False),
        ("https://updates.example.com/u1", None),
        ("ada@example.org", None),
    ]
