"""Thousands of phones: their owners straight in the database, and what two simulated push services say they show."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from clarion.storage import schema
from processes.ledger import Api
from processes.simulator import Simulator

KINDS = ("apns", "fcm")
_ROWS_AT_ONCE = 10_000
_decode = msgspec.json.Decoder(list[Any]).decode

# What each push service says in its own words.
_LATER = {"apns": "ServiceUnavailable", "fcm": "UNAVAILABLE"}
_TOO_MANY = {"apns": "TooManyRequests", "fcm": "QUOTA_EXCEEDED"}
_GONE = {"apns": "Unregistered", "fcm": "UNREGISTERED"}
GONE_OF_A_HUNDRED = 1
"""How many of the phones in an awkward script are gone; each other answer is that of a few."""
_OF_EACH_ANSWER = 2


def address(number: int) -> str:
    """The device token of a phone. It does not begin with zeros, as that of nobody does."""
    return f"a{number:063x}"


def kind_of(number: int) -> str:
    """Whose push service a phone is at: turn by turn."""
    return KINDS[number % len(KINDS)]


def seed_phones(database: str, count: int) -> None:
    """That many people with one phone each, in the only project there is; `database` is a URL of SQLAlchemy."""
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        key, now = connection.execute(sa.select(schema.project.c.key, schema.project.c.created_at)).one()
        common = {"project": key, "created_at": now, "updated_at": now}
        person = {**common, "attributes": {}, "anonymous": False}
        phone = {**common, "permission": "granted", "state": "active", "details": "{}", "registered_at": now}
        for some in _some(count):
            connection.execute(sa.insert(schema.person), [{**person, "id": f"user-{number}"} for number in some])
        keys = connection.execute(sa.select(schema.person.c.key).order_by(schema.person.c.key)).scalars().all()
        for some in _some(count):
            rows = [
                {"id": f"{n:032x}", "person": keys[n], "kind": kind_of(n), "address": address(n), **phone} for n in some
            ]
            connection.execute(sa.insert(schema.device), rows)
    engine.dispose()


def _some(count: int) -> Iterator[range]:
    for first in range(0, count, _ROWS_AT_ONCE):
        yield range(first, min(first + _ROWS_AT_ONCE, count))


Shown: TypeAlias = Mapping[str, Counter[str]]
"""By device token, how often each key came."""


def accepted(shown: Shown) -> int:
    """How many messages that were."""
    return sum(keys.total() for keys in shown.values())


class Phones:
    """Two push services, each with its half of the phones. What a phone shows outlives their kill."""

    def __init__(self, folder: Path) -> None:
        self._scripts = {kind: folder / kind / "script.json" for kind in KINDS}
        for script in self._scripts.values():
            script.parent.mkdir(parents=True)
            script.write_text("{}")
        self.services = {
            kind: Simulator(kind, folder / kind, "--script", str(script)) for kind, script in self._scripts.items()
        }

    async def start(self) -> None:
        """Both services listen."""
        await asyncio.gather(*(service.start() for service in self.services.values()))

    def kill(self) -> None:
        """SIGKILL to both."""
        for service in self.services.values():
            service.kill()

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that sends to them."""
        urls = {f"{kind.upper()}_URL": service.about["url"] for kind, service in self.services.items()}
        # Both certificates in one file: the server trusts one file of authorities.
        return urls | {"PROVIDER_CA": str(self._authorities())}

    def _authorities(self) -> Path:
        files = [Path(service.about["ca_file"]) for service in self.services.values()]
        together = files[0].with_name("authorities.pem")
        together.write_text("".join(file.read_text("ascii") for file in files), "ascii")
        return together

    async def upload_credentials(self, api: Api) -> None:
        """As a team does, with the services' own word on whether they are good, which is not counted."""
        for service in self.services.values():
            await api.call("POST", "/v1/credentials", {**service.credential, "check": True})
            await service.ask("DELETE", "/counts")

    def written(self) -> int:
        """Bytes: grows with every message that is accepted."""
        return sum(service.state.stat().st_size for service in self.services.values() if service.state.exists())

    async def answer(self, script: Mapping[int, Any]) -> None:
        """Answers by phone, which a service that is started anew gives from their beginning."""
        for kind, service in self.services.items():
            own = {address(number): steps for number, steps in script.items() if kind_of(number) == kind}
            self._scripts[kind].write_text(json.dumps(own))
            await service.ask("DELETE", "/script")
            await service.ask("PUT", "/script", own)

    def shown(self) -> Shown:
        """What was accepted by now; both services keep it in a file."""
        return {token: keys for service in self.services.values() for token, keys in _read(service.state).items()}

    async def counted(self) -> tuple[int, int, int]:
        """The services' own count: devices, messages that were accepted, notifications on all screens."""
        told = [await service.ask("GET") for service in self.services.values()]
        devices, accepted, notifications = (
            sum(each[name] for each in told) for name in ("devices", "accepted", "notifications")
        )
        return devices, accepted, notifications


def _read(state: Path) -> Shown:
    by_token: dict[str, Counter[str]] = {}
    for line in state.read_bytes().splitlines():
        match _decode(line):
            case ["accepted", token, _, key, *_]:
                by_token.setdefault(token, Counter())[key] += 1
            case _:
                by_token.clear()  # told to begin at zero
    return by_token


def awkward(phones: Sequence[int], chance: random.Random) -> tuple[dict[int, Any], set[int]]:
    """A script for some of these phones that makes the services' days hard; and which of them are gone for good."""
    script: dict[int, Any] = {}
    chosen = chance.sample(phones, len(phones) // 10)
    gone = set(chosen[: max(1, len(phones) * GONE_OF_A_HUNDRED // 100)])
    for number in gone:
        script[number] = {"do": "refuse", "reason": _GONE[kind_of(number)]}
    rest = iter(chosen[len(gone) :])
    for each in range(_OF_EACH_ANSWER * len(_steps("apns"))):
        number = next(rest)
        steps = _steps(kind_of(number))
        script[number] = steps[each % len(steps)]
    return script, gone


def _steps(kind: str) -> list[dict[str, Any]]:
    """Each ends after a time or two; what was accepted without a word is sent again by who sends."""
    return [
        {"do": "refuse", "reason": _LATER[kind], "retry_after": 1, "times": 2},
        {"do": "refuse", "reason": _TOO_MANY[kind], "retry_after": 1, "times": 1},
        {"do": "raw", "status": 502, "retry_after": 1, "times": 1},
        {"do": "hangup", "accepted": True, "times": 1},
        {"do": "hangup", "accepted": False, "times": 1},
        {"do": "break", "code": 2, "accepted": True, "times": 1},
        {"do": "break", "code": 7, "accepted": False, "times": 2},
        {"do": "leave", "accepted": True, "times": 1},
        {"do": "leave", "accepted": False, "times": 1},
        {"do": "delay", "ms": 500, "times": 1},
    ]
