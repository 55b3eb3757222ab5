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


def consent(
    recipient: Recipient, category: Category, channel: Channel, settings: ProjectSettings, now: Millis
) -> Ruling:
    """The last word of the ledger counts; silence means the category's default; a locked category always passes.

    Whoever paused marketing said no to all of it until then.
    """
    if locked(category, settings):
        return _MANDATORY
    word = recipient.consents.get((category.name, channel))
    if word is None:
        said = _DEFAULT_ON if on_by_default(category, settings) else _DEFAULT_OFF
    else:
        said = _YES if word else _NO
    if said.reason is not None or category.class_ is not CategoryClass.MARKETING or recipient.preferences is None:
        return said
    until = recipient.preferences.marketing_paused_until
    return said if until is None or until <= now else _paused(until // DAY_MS)


@lru_cache(maxsize=1024)
def _paused(day: int) -> Ruling:
    """Of the day alone, so that a batch is written down in few words."""
    return Ruling(
        Reason.OPTED_OUT, f"marketing paused until {datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y-%m-%d}"
    )
