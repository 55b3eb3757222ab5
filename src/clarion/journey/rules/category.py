"""Gate: a message may only wear a category that exists and lets it."""

from collections.abc import Mapping
from typing import NamedTuple

from clarion.journey.rules.exempt import exempt
from clarion.journey.rules.ruling import Ruling
from clarion.journey.texts.wordings import every
from clarion.model import AUTOMATION_SENDER, Category, Channel, Message, Notification, Reason


class Misfit(NamedTuple):
    """Why a message may not wear a category, and the field of the message that says so."""

    field: str
    because: str


def category(notification: Notification, categories: Mapping[str, Category]) -> Ruling:
    """The category exists, takes push messages and, if it lists templates and keys, lists these."""
    worn = categories.get(notification.message.category)
    if worn is None:
        return Ruling(Reason.CATEGORY_MISMATCH, f"there is no category {notification.message.category}")
    for message in every(notification.message):
        wrong = misfit(message, worn, sender(notification))
        if wrong is not None:
            return Ruling(Reason.CATEGORY_MISMATCH, wrong.because)
    return Ruling(None, f"{worn.name}: {worn.class_}")


def sender(notification: Notification) -> str | None:
    """As a category lists it: the id of an API key, or `automation:NAME`."""
    if notification.automation is not None:
        return AUTOMATION_SENDER + notification.automation
    return notification.sent_by


def misfit(message: Message, worn: Category, sender: str | None) -> Misfit | None:
    """The first thing that does not fit; None when it may wear it."""
    if Channel.PUSH not in worn.channels:
        return Misfit("category", f"{worn.name} does not use the channel push")
    if worn.templates is not None:
        if message.template not in worn.templates:
            return Misfit("template", f"{worn.name} only takes the templates that it lists")
        # Else a campaign would name an allowed template and say something of its own.
        if exempt(worn) and (message.title is not None or message.body is not None):
            field = "body" if message.title is None else "title"
            return Misfit(field, f"{worn.name} is mandatory: the words of its templates only")
    if worn.keys is not None and sender not in worn.keys:
        who = "what no key sent" if sender is None else sender if sender.startswith(AUTOMATION_SENDER) else "this key"
        return Misfit("category", f"{worn.name} only takes the keys and automations that it lists, not {who}")
    return None
