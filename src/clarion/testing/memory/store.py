"""A whole database in memory: the reference reading of the ports, for tests of ours and of others."""

import time

from clarion.model import Millis
from clarion.ports import Clock
from clarion.testing.memory.audiences import MemoryAudiences
from clarion.testing.memory.campaigns import MemoryCampaigns
from clarion.testing.memory.devices import MemoryDevices
from clarion.testing.memory.effects import EffectsWriter
from clarion.testing.memory.events import MemoryEvents
from clarion.testing.memory.idempotency import MemoryIdempotency
from clarion.testing.memory.losses import MemoryLosses
from clarion.testing.memory.projects import MemoryDefinitions, MemoryProjects
from clarion.testing.memory.push import MemoryPushStore
from clarion.testing.memory.results import MemoryResults
from clarion.testing.memory.runs import MemoryRuns
from clarion.testing.memory.steps import MemorySteps
from clarion.testing.memory.stoppages import MemoryStoppages
from clarion.testing.memory.tables import Tables
from clarion.testing.memory.tallies import MemoryTallies
from clarion.testing.memory.trail import MemoryTrail
from clarion.testing.memory.users import MemoryConsents, MemoryPreferences, MemoryUsers
from clarion.testing.memory.work import MemoryWork


class MemoryStore:
    """`ports.Store` in dicts: every write is one step of the event loop, so a transaction needs no more.

    Nothing survives the object; closing and opening it keeps everything. `clock` stamps what comes without a time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        tables = Tables(now=clock.now if clock else _wall_clock)
        self.work = MemoryWork(tables)
        self.users = MemoryUsers(tables)
        effects = EffectsWriter(tables, self.work)
        self.projects = MemoryProjects(tables)
        self.definitions = MemoryDefinitions(tables)
        self.devices = MemoryDevices(tables)
        self.consents = MemoryConsents(tables)
        self.preferences = MemoryPreferences(tables)
        self.audiences = MemoryAudiences(tables, self.users)
        self.events = MemoryEvents(tables, self.users, self.work)
        self.trail = MemoryTrail(tables, effects)
        self.results = MemoryResults(tables)
        self.steps = MemorySteps(tables, self.work, effects)
        self.runs = MemoryRuns(tables, self.work)
        self.idempotency = MemoryIdempotency(tables)
        self.push = MemoryPushStore(tables)
        self.stoppages = MemoryStoppages(tables)
        self.campaigns = MemoryCampaigns(tables, effects)
        self.losses = MemoryLosses(tables)
        self.tallies = MemoryTallies(tables)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def ping(self) -> None:
        """Always there."""


def _wall_clock() -> Millis:
    return time.time_ns() // 1_000_000
