"""All nouns over one database, whichever engine it is."""

from clarion.storage.audiences import SqlAudiences
from clarion.storage.campaigns import SqlCampaigns
from clarion.storage.consents import SqlConsents
from clarion.storage.database import Database
from clarion.storage.definitions import SqlDefinitions
from clarion.storage.devices import SqlDevices
from clarion.storage.events import SqlEvents
from clarion.storage.idempotency import SqlIdempotency, touch
from clarion.storage.losses import SqlLosses
from clarion.storage.people import SqlUsers
from clarion.storage.preferences import SqlPreferences
from clarion.storage.projects import SqlProjects
from clarion.storage.push import SqlPushStore
from clarion.storage.results import SqlResults
from clarion.storage.runs import SqlRuns
from clarion.storage.steps import SqlSteps
from clarion.storage.stoppages import SqlStoppages
from clarion.storage.tallies import SqlTallies
from clarion.storage.trail import SqlTrail
from clarion.storage.work import SqlWork


class SqlStore:
    """The nouns of `ports.Store`; an engine adds how it opens and closes."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.projects = SqlProjects(database)
        self.definitions = SqlDefinitions(database)
        self.users = SqlUsers(database)
        self.devices = SqlDevices(database)
        self.audiences = SqlAudiences(database)
        self.consents = SqlConsents(database)
        self.preferences = SqlPreferences(database)
        self.events = SqlEvents(database)
        self.trail = SqlTrail(database)
        self.results = SqlResults(database)
        self.work = SqlWork(database)
        self.steps = SqlSteps(database)
        self.runs = SqlRuns(database)
        self.idempotency = SqlIdempotency(database)
        self.push = SqlPushStore(database)
        self.stoppages = SqlStoppages(database)
        self.campaigns = SqlCampaigns(database)
        self.losses = SqlLosses(database)
        self.tallies = SqlTallies(database)

    async def ping(self) -> None:
        """Write a row.

        Raises:
            Unavailable: the database cannot be written.
        """
        await self._db.write(touch, self._db.now())
