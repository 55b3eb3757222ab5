"""Gate: a message may only wear a category that exists and lets it."""

from collections.abc import Mapping

from clarion.journey.rules.ruling import Ruling
from clarion.model import Category, Channel, Message, Reason


def category(message: Message, categories: Mapping[str, Category]) -> Ruling:
    """The category exists, takes push messages and, if it lists templates, lists this one."""
    worn = categories.get(message.category)
    if worn is None:
        return Ruling(Reason.CATEGORY_MISMATCH, f"there is no category {message.category}")
    if Channel.PUSH not in worn.channels:
        return Ruling(Reason.CATEGORY_MISMATCH, f"{worn.name} does not use the channel push")
    if worn.templates is not None and message.template not in worn.templates:
        return Ruling(Reason.CATEGORY_MISMATCH, f"{worn.name} only takes the templates that it lists")
    return Ruling(None, f"{worn.name}: {worn.class_}")
