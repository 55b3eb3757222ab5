"""The account at the end: what was accepted against what was decided, delivered and shown, one by one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from processes.device import Device
from processes.traffic import Traffic

REACHED = {"accepted", "delivered", "displayed"}


class Api:
    """The server's own word, by a server key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a call that succeeds."""
        status, answer = await self.answer(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    async def answer(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and body. Raises aiohttp.ClientError when there is none."""
        async with self._http.request(method, self._url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def all(self, path: str, **filters: str) -> AsyncIterator[Any]:
        """Every item of a list."""
        cursor: str | None = None
        while True:
            query = {**filters, "limit": "1000", **({"cursor": cursor} if cursor else {})}
            async with self._http.get(self._url + path, params=query) as answer:
                assert answer.status == 200, f"{path}: {answer.status} {await answer.text()}"
                page = await answer.json()
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def waiting(self) -> int:
        """Jobs in the queues, as `/metrics` tells."""
        async with self._http.get(f"{self._url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("clarion_backlog_jobs{"))


@dataclass
class Account:
    """Counts, and in words everything that is not as it must be."""

    rounds: int
    accepted: int = 0
    repeated: int = 0
    expected: int = 0
    delivered: int = 0
    duplicates: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = (
            f"rounds {self.rounds}, accepted {self.accepted} (asked again {self.repeated}), "
            f"deliveries {self.delivered} of {self.expected}, duplicates {self.duplicates}, lost {self.lost}"
        )
        return "\n".join([numbers, *self.wrong[:20]])


async def settle_accounts(api: Api, traffic: Traffic, devices: Sequence[Device], rounds: int) -> Account:
    """Everything that was accepted, from the answer to the device's application and back."""
    account = Account(rounds, len(traffic.answered), traffic.repeated)
    account.wrong += traffic.refused
    _count_devices(account, traffic, devices)
    notifications = [item async for item in api.all("/v1/notifications")]
    _check_notifications(account, traffic, notifications)
    await _check_decisions(account, api, traffic, notifications)
    await _check_deliveries(account, api, devices)
    await _check_repetitions(account, traffic)
    return account


def _count_devices(account: Account, traffic: Traffic, devices: Sequence[Device]) -> None:
    """Each text once on each device of each of its users."""
    for number, device in enumerate(devices):
        wanted = {text for text, users in traffic.wanted.items() if device.user_id in users}
        texts = Counter(payload["title"] for payload in device.received)
        ids = Counter(payload["id"] for payload in device.received)
        lost, extra = wanted - texts.keys(), texts.keys() - wanted
        twice = [text for text, count in texts.items() if count > 1]
        account.expected += len(wanted)
        account.delivered += len(texts)
        account.lost += len(lost)
        account.duplicates += sum(texts.values()) - len(texts)
        who = f"device {number} ({device.user_id})"
        if lost:
            account.wrong.append(f"{who} never got {sorted(lost)[:10]}")
        if twice:
            same = [text for text in twice if len({p["id"] for p in device.received if p["title"] == text}) == 1]
            account.wrong.append(f"{who} got twice {sorted(twice)[:10]} (with the same delivery id: {same[:10]})")
        if extra:
            account.wrong.append(f"{who} got what nobody asked for: {sorted(extra)[:10]}")
        if device.renamed:
            account.wrong.append(f"{who} lost its subscriptions {device.renamed} times")
        assert sum(ids.values()) == sum(texts.values())


def _check_notifications(account: Account, traffic: Traffic, notifications: Sequence[Any]) -> None:
    """One for each call and one for each event."""
    called = {item["id"] for item in notifications if item["automation"] is None}
    promised = {ask.answer["id"] for ask in traffic.notifications}
    if called - promised:
        texts = [item["title"] for item in notifications if item["id"] in called - promised]
        account.wrong.append(f"notifications under ids that no caller was told: {texts[:10]}")
    if promised - called:
        account.wrong.append(f"accepted, and not there: {sorted(promised - called)[:10]}")
    made, events = len(notifications) - len(called), sum(len(ask.texts) for ask in traffic.events)
    if made != events:
        account.wrong.append(f"{events} events made {made} notifications")


async def _check_decisions(account: Account, api: Api, traffic: Traffic, notifications: Sequence[Any]) -> None:
    """One for each candidate, and all of them to send."""
    users = {ask.answer["id"]: sorted(next(iter(ask.texts.values()))) for ask in traffic.notifications}
    turns = asyncio.Semaphore(8)

    async def of(item: Any) -> list[Any]:
        async with turns:
            return [one async for one in api.all(f"/v1/notifications/{item['id']}/decisions")]

    for item, decided in zip(notifications, await asyncio.gather(*map(of, notifications)), strict=True):
        who = sorted(one["user_id"] for one in decided)
        right = who == users[item["id"]] if item["id"] in users else len(who) == 1
        if not right or any(one["decision"] != "send" for one in decided):
            told = [(one["user_id"], one["reason"]) for one in decided]
            account.wrong.append(f"decisions of {item['title'] or item['automation']}: {told}")


async def _check_deliveries(account: Account, api: Api, devices: Sequence[Device]) -> None:
    """One for each payload; displayed where the device said so, at least accepted where it did not."""
    shown = {payload["id"]: device for device in devices for payload in device.received}
    stored = [item async for item in api.all("/v1/deliveries")]
    ids = {item["id"] for item in stored}
    if len(ids) != len(stored) or ids != shown.keys():
        account.wrong.append(f"{len(stored)} deliveries are recorded, {len(shown)} were shown")
    for item in stored:
        device = shown.get(item["id"])
        right = {"displayed"} if device is not None and device.reports else REACHED
        if item["state"] not in right or item["reason"] is not None:
            account.wrong.append(f"delivery {item['id']} is {item['state']} ({item['reason']})")


async def _check_repetitions(account: Account, traffic: Traffic) -> None:
    """Whoever asks once more gets the same answer, and an event that is told once more is a duplicate."""
    asks = traffic.notifications
    for ask, (status, answer) in zip(asks, await traffic.ask_again(asks), strict=True):
        if (status, answer) != (202, ask.answer):
            account.wrong.append(f"{ask.body} was answered {ask.answer}, and then {status} {answer}")
    events = traffic.events
    for ask, (status, answer) in zip(events, await traffic.ask_again(events), strict=True):
        if (status, answer["accepted"], answer["duplicates"]) != (202, 0, len(ask.texts)):
            account.wrong.append(f"{ask.body} was told once more: {status} {answer}")
