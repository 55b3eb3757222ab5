"""Mandatory messages: gates that only spare people something let them pass, and say so."""

from clarion.journey.rules.ruling import Ruling
from clarion.model import Category, CategoryClass

EXEMPT = Ruling(None, "mandatory")
"""What such a gate writes down of them."""


def exempt(category: Category) -> bool:
    """Whether caps, quiet hours, digests, conditions and holdouts have nothing to say about it."""
    return category.class_ is CategoryClass.MANDATORY
