"""The wordings of a message: as it says itself, or as each of its variants does."""

from typing import Any

import msgspec

from clarion.model import Message, Variant

_WORDS = ("title", "body", "url", "template", "template_version")
_SHOWN = ("icon", "image", "badge", "sound", "actions")
_OF_TEMPLATE = (*_WORDS, "locales")


def worded(message: Message, key: str | None) -> Message:
    """The message as one variant says it; None: as it says itself."""
    return message if key is None else _worded(message, next(one for one in message.variants if one.key == key))


def every(message: Message) -> list[Message]:
    """The message in all its wordings: in the order of its variants, or as it is."""
    return [_worded(message, one) for one in message.variants] or [message]


def _worded(message: Message, variant: Variant) -> Message:
    own = ((name, getattr(variant, name)) for name in (*_WORDS, *_SHOWN))
    told: dict[str, Any] = {name: value for name, value in own if value is not None}
    if variant.template is not None:
        told = dict.fromkeys(_WORDS) | told
    return msgspec.structs.replace(message, variants=[], **told)


def placed(message: Message, at: int, field: str) -> str:
    """The place of a field of the n-th wording: in the variant, or in the message where all have it from there."""
    if not message.variants:
        return field
    variant, name = message.variants[at], field.partition("[")[0].partition(".")[0]
    if variant.template is not None:
        own = name in _OF_TEMPLATE or getattr(variant, name, None) is not None
    else:
        # What nobody says is for each variant to say, if any other does.
        own = getattr(variant, name, None) is not None or (name in _WORDS and getattr(message, name) is None)
    return f"variants[{at}].{field}" if own else field
