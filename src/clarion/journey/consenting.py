"""Permission, joined to the world: what people tell us is written into the ledger, and read from it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from clarion.errors import FieldError, InvalidRequest
from clarion.journey import permission
from clarion.journey.catalog import Catalog
from clarion.journey.permission import Elsewhere, Said
from clarion.model import Category, Channel, Consent, Key, Millis, Project, User
from clarion.ports import Clock, Store


class Consenting:
    """What the pipeline does with consents."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock

    async def say(
        self,
        project: Project,
        user_id: str,
        said: Sequence[Said],
        *,
        source: str,
        wording: str | None = None,
        wording_version: str | None = None,
    ) -> None:
        """New lines in the ledger, all or none; without a channel, one for each channel of the category."""
        categories = await self._catalog.categories(project.key)
        about = [(one, permission.answered(categories, one.category, one.channel)) for one in said]
        now = self._clock.now()
        user = (await self._store.users.resolve(project.key, [user_id], now, create=True))[user_id]
        lines = [
            Consent(
                user=user,
                category=one.category,
                channel=channel,
                granted=one.granted,
                source=source,
                wording=one.wording or wording,
                wording_version=wording_version,
                at=now,
            )
            for one, channels in about
            for channel in channels
        ]
        await self._store.consents.append(project.key, lines)

    async def take_over(self, project: Project, told: Sequence[Elsewhere]) -> list[bool]:
        """What many people said elsewhere, all or none; by entry whether it was news to the ledger.

        Raises:
            InvalidRequest: names each field that is wrong.
        """
        categories = await self._catalog.categories(project.key)
        channels = list(_channels(told, categories))
        now = self._clock.now()
        keys = await self._store.users.resolve(
            project.key, list(dict.fromkeys(one.user_id for one in told)), now, create=True
        )
        lines = [
            (index, _line(one, keys[one.user_id], channel, now))
            for index, (one, answered) in enumerate(zip(told, channels, strict=True))
            for channel in answered
        ]
        news = await self._store.consents.take_over(project.key, [line for _, line in lines])
        taken = {index for (index, _), new in zip(lines, news, strict=True) if new}
        return [index in taken for index in range(len(told))]

    async def preferences(
        self, project: Project, user: User | None, locale: str | None = None
    ) -> list[permission.Preference]:
        """What is on and off, for a person or for somebody of whom nothing is known."""
        categories = await self._catalog.categories(project.key)
        ledger = await self._store.consents.of_user(project.key, user.key) if user is not None else []
        return permission.preferences(categories.values(), project.settings, ledger, locale)


def _channels(told: Iterable[Elsewhere], categories: Mapping[str, Category]) -> Iterator[Sequence[Channel]]:
    problems: list[FieldError] = []
    for index, one in enumerate(told):
        try:
            yield permission.answered(categories, one.said.category, one.said.channel)
        except InvalidRequest as error:
            problems += [FieldError(f"consents[{index}].{field}", words) for field, words in error.errors]
    if problems:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=problems)


def _line(one: Elsewhere, user: Key, channel: Channel, now: Millis) -> Consent:
    return Consent(
        user=user,
        category=one.said.category,
        channel=channel,
        granted=one.said.granted,
        source=one.source,
        wording=one.said.wording,
        wording_version=one.wording_version,
        said_at=one.at,
        at=now,
    )
