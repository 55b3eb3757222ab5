"""Gate: what the person told us about this kind of message."""

from datetime import UTC, datetime
from functools import lru_cache

from clarion.journey.rules.ruling import Ruling
from clarion.model import DAY_MS, Category, CategoryClass, Channel, Millis, ProjectSettings, Reason
from clarion.ports import Recipient

_YES = Ruling(None, "said yes")
_NO = Ruling(Reason.OPTED_OUT, "said no")
_MANDATORY = Ruling(None, "mandatory")
_DEFAULT_ON = Ruling(None, "on by default")
_DEFAULT_OFF = Ruling(Reason.NO_CONSENT, "never asked, off by default")


def on_by_default(category: Category, settings: ProjectSettings) -> bool:
    """What holds while the person has said nothing."""
    if category.default is not None:
        return category.default or category.class_ is CategoryClass.MANDATORY
    if category.class_ is CategoryClass.MARKETING:
        return settings.marketing_consent == "opt_out"
    return True


def locked(category: Category, settings: ProjectSettings) -> bool:
    """Whether the person cannot switch it off."""
    return category.class_ is CategoryClass.MANDATORY and not settings.mandatory_can_be_switched_off


class Consent:
    """The gate for one category: what follows from each last word is worked out once, not for each person.

    The last word of the ledger counts; silence means the category's default; a locked category always passes. Whoever
    paused marketing said no to all of it until then.
    """

    __slots__ = ("_about", "_now", "_pausable", "_said")

    def __init__(self, category: Category, channel: Channel, settings: ProjectSettings, now: Millis) -> None:
        self._about = category.name, channel.value
        self._now = now
        self._pausable = category.class_ is CategoryClass.MARKETING
        silence = _DEFAULT_ON if on_by_default(category, settings) else _DEFAULT_OFF
        self._said: dict[bool | None, Ruling] = {None: silence, True: _YES, False: _NO}
        if locked(category, settings):
            self._said = dict.fromkeys(self._said, _MANDATORY)

    def __call__(self, recipient: Recipient) -> Ruling:
        """What this person's word means."""
        said = self._said[recipient.consents.get(self._about)]
        if recipient.preferences is None or not self._pausable or said.reason is not None:
            return said
        until = recipient.preferences.marketing_paused_until
        return said if until is None or until <= self._now else _paused(until // DAY_MS)


@lru_cache(maxsize=1024)
def _paused(day: int) -> Ruling:
    """Of the day alone, so that a batch is written down in few words."""
    return Ruling(
        Reason.OPTED_OUT, f"marketing paused until {datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y-%m-%d}"
    )
