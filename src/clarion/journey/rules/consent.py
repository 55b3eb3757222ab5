"""Gate: what the person told us about this kind of message."""

from clarion.journey.rules.ruling import Ruling
from clarion.model import Category, CategoryClass, Channel, ProjectSettings, Reason
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


def consent(recipient: Recipient, category: Category, channel: Channel, settings: ProjectSettings) -> Ruling:
    """The last word of the ledger counts; silence means the category's default; a locked category always passes."""
    if locked(category, settings):
        return _MANDATORY
    word = recipient.consents.get((category.name, channel))
    if word is None:
        return _DEFAULT_ON if on_by_default(category, settings) else _DEFAULT_OFF
    return _YES if word else _NO
