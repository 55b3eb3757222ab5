"""Two shops, one real and one made up, lived through again: the ready-made segments find whom a data frame finds.

CDNOW is a real shop for music: every purchase of 23,570 customers from January 1997 to June 1998. The clickstream is
a shop that was made up: half a year of 600 visitors. PyPI has both, inside packages; they come from there.
"""

import gzip
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import ZipFile

import polars as pl
import pytest

from clarion.cli.importing import Imported, Shape, run
from clarion.journey.segments.lookup import crowd_in
from clarion.model import Json
from clarion.ports import Store
from clarion.testing import ManualClock, SeededChance
from contract.api_world import ApiWorld
from story.world import World

ENGINES = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
BEGIN = datetime(1997, 1, 1, tzinfo=UTC)
"""Before all that is told."""
People = pl.DataFrame
"""A column of user ids."""


class Package(NamedTuple):
    """A wheel on PyPI, and the file in it."""

    name: str
    version: str
    file: str


CDNOW = Package("lifetimes", "0.11.3", "lifetimes/datasets/CDNOW_master.txt")
CLICKS = Package("retentioneering", "5.2.4", "retentioneering/datasets/ecom.csv.gz")


class Replay:
    """A project that hears of events as time goes by, and is asked who is in a segment at moments between."""

    def __init__(self, api: ApiWorld, clock: ManualClock, folder: Path) -> None:
        self._api, self._clock, self._folder = api, clock, folder

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now() / 1000, UTC)

    def wait_until(self, moment: datetime) -> None:
        self._clock.advance((moment - self.now) // timedelta(milliseconds=1))

    async def hear(self, events: pl.DataFrame, shape: Shape) -> Imported:
        """As `clarion events import` brings in a file."""
        file = self._folder / "events.csv"
        events.write_csv(file)
        return await run(file, shape, self._send)

    async def _send(self, body: Json) -> Json:
        told = await self._api.server.post("/v1/events", body)
        assert told.status == 202, told
        answer: Json = told.json
        return answer

    async def define(self, name: str, ready_made: str, **parameters: Any) -> None:
        body = {"name": name, "ready_made": ready_made, "parameters": parameters}
        made = await self._api.server.post("/v1/segments", body)
        assert made.status == 201, made

    async def expect(self, name: str, people: People) -> int:
        """These are in the segment, one by one, and as many are counted; how many they are."""
        wanted = set(people["user_id"].to_list())
        told = await self._api.server.post("/v1/segments/preview", {"segment": name})
        assert told.status == 200, told
        assert told.json["count"] == len(wanted), (name, self.now)
        assert await self._members(name) == wanted, (name, self.now)
        return len(wanted)

    async def _members(self, name: str) -> set[str]:
        world = self._api.world
        known = await world.catalog.segments(world.project.key)
        crowd = crowd_in(name, known, self._clock.now())
        keys = await world.store.audiences.keys(world.project.key, crowd, 0, 100_000)
        return set((await world.store.users.ids(world.project.key, keys)).values())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(round(BEGIN.timestamp() * 1000))


@pytest.fixture
async def replay(
    database: Callable[[], Store], clock: ManualClock, chance: SeededChance, tmp_path: Path
) -> AsyncIterator[Replay]:
    store = database()
    await store.open()
    yield Replay(ApiWorld(await World(store, clock, chance).begin()), clock, tmp_path)
    await store.close()


@pytest.fixture
def cdnow(request: pytest.FixtureRequest) -> pl.DataFrame:
    """A row for each purchase: user_id, occurred_at, cds, dollars."""
    rows = [line.split() for line in _contents(request, CDNOW).decode().splitlines()[1:]]
    told = pl.DataFrame(rows, schema=["user_id", "day", "cds", "dollars"], orient="row")
    return told.with_columns(occurred_at=_moments("day", "%Y%m%d")).drop("day").sort("occurred_at", maintain_order=True)


@pytest.fixture
def clicks(request: pytest.FixtureRequest) -> pl.DataFrame:
    """A row for each click: user_id, session_id, event, occurred_at, platform, …"""
    told = pl.read_csv(gzip.decompress(_contents(request, CLICKS)))
    moments = _moments("timestamp", "%Y-%m-%d %H:%M:%S")
    return told.with_columns(occurred_at=moments).drop("timestamp").sort("occurred_at", maintain_order=True)


def _moments(column: str, form: str) -> pl.Expr:
    return pl.col(column).str.to_datetime(form, time_unit="ms", time_zone="UTC")


def _contents(request: pytest.FixtureRequest, package: Package) -> bytes:
    """Of the file in the wheel, which is fetched the first time."""
    folder = Path(request.config.cache.mkdir("datasets")) / f"{package.name}-{package.version}"
    if not folder.exists():
        _fetch(package, folder)
    [wheel] = folder.glob("*.whl")
    with ZipFile(wheel) as opened:
        return opened.read(package.file)


def _fetch(package: Package, folder: Path) -> None:
    wanted = f"{package.name}=={package.version}"
    with TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as partial:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*pip, "-d", partial, wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"{wanted} cannot be fetched from PyPI: {done.stderr}")
        with suppress(OSError):  # another process was first
            Path(partial).rename(folder)


def _by_time(events: pl.DataFrame, every: timedelta) -> Iterator[tuple[datetime, pl.DataFrame]]:
    """The events of each span of time, and when it ends. A purchase at its end is not in it."""
    begin = events["occurred_at"][0]
    while begin <= events["occurred_at"][-1]:
        yield begin + every, events.filter(pl.col("occurred_at").is_between(begin, begin + every, closed="left"))
        begin += every


# --- who is meant, computed directly ----------------------------------------------------------------------------------


def _recent(column: str, now: datetime, days: int, but_for: int = 0) -> pl.Expr:
    """In the last so many days, but for the newest so many."""
    return pl.col(column).is_between(now - timedelta(days), now - timedelta(but_for), closed="right")


def _people(heard: pl.DataFrame) -> People:
    """Of each how often, when last, and when we first heard of them."""
    at = pl.col("occurred_at")
    return heard.group_by("user_id").agg(times=pl.len(), last=at.max(), known=pl.col("heard_at").min())


def _carts(heard: pl.DataFrame, now: datetime, days: int, but_for: int = 0) -> People:
    """Whose newest cart is that old, and was not paid for."""
    name, at = pl.col("event"), pl.col("occurred_at")
    of_each = heard.group_by("user_id").agg(
        cart=at.filter(name == "add_to_cart").max(), paid=at.filter(name == "purchase").max()
    )
    return of_each.filter(_recent("cart", now, days, but_for), (pl.col("paid") < pl.col("cart")).fill_null(value=True))


# --- the two shops ----------------------------------------------------------------------------------------------------


@ENGINES
async def test_customers_of_cdnow_who_lapse_are_found(replay: Replay, cdnow: pl.DataFrame) -> None:
    await replay.define("lapsing", "at_risk_by_recency")
    await replay.define("lapsing fans", "at_risk_by_recency", at_least=5, quiet={"days": 60}, lost={"days": 180})
    await replay.define("silent", "inactive", within={"days": 100})
    await replay.define("new", "new_users", within={"days": 30})
    assert (cdnow.height, cdnow["user_id"].n_unique()) == (69_659, 23_570)
    heard, most = [], Counter[str]()
    for number, (now, events) in enumerate(_by_time(cdnow, timedelta(7)), 1):
        replay.wait_until(now)
        told = await replay.hear(events, Shape({}, "order"))
        assert (told.accepted, told.duplicates, told.errors) == (events.height, 0, [])
        heard.append(events.with_columns(heard_at=pl.lit(now)))
        if number % 8 == 0:
            people, times = _people(pl.concat(heard)), pl.col("times")
            expected = {
                "lapsing": people.filter(times >= 2, _recent("last", now, 90, 30)),
                "lapsing fans": people.filter(times >= 5, _recent("last", now, 180, 60)),
                "silent": people.filter(_recent("known", now, 10_000, 100), ~_recent("last", now, 100)),
                "new": people.filter(_recent("known", now, 30)),
            }
            for name, wanted in expected.items():
                most[name] = max(most[name], await replay.expect(name, wanted))
    assert most == {"lapsing": 3_452, "lapsing fans": 1_276, "new": 10_343, "silent": 19_636}


@ENGINES
async def test_carts_that_are_left_behind_are_found(replay: Replay, clicks: pl.DataFrame) -> None:
    names = {"event": "add_to_cart", "purchase": "purchase"}
    await replay.define("carts", "cart_abandoned", **names)
    await replay.define("old carts", "cart_abandoned", within={"days": 14}, after={"days": 2}, **names)
    await replay.define("gone", "inactive")
    await replay.define("browsing", "new_users", within={"days": 21}, until="purchase")
    shape, heard, most = Shape({"name": "event"}), [], Counter[str]()
    for number, (now, events) in enumerate(_by_time(clicks, timedelta(1)), 1):
        replay.wait_until(now)
        told = await replay.hear(events, shape)
        assert (told.accepted, told.duplicates, told.errors) == (events.height, 0, [])
        heard.append(events.with_columns(heard_at=pl.lit(now)))
        if number % 10 == 0:
            so_far = pl.concat(heard)
            people, buyers = _people(so_far), so_far.filter(pl.col("event") == "purchase")
            expected = {
                "carts": _carts(so_far, now, 3),
                "old carts": _carts(so_far, now, 14, 2),
                "gone": people.filter(_recent("known", now, 10_000, 30), ~_recent("last", now, 30)),
                "browsing": people.filter(_recent("known", now, 21)).join(buyers, on="user_id", how="anti"),
            }
            for name, wanted in expected.items():
                most[name] = max(most[name], await replay.expect(name, wanted))
    assert most == {"browsing": 119, "carts": 30, "gone": 137, "old carts": 109}
