"""APNs' push types, and names of topics and of notifications ("Sending notification requests to APNs")."""

from functools import lru_cache
from hashlib import sha256
from typing import Final

PUSH_TYPE: Final = "apns-push-type"
TOPIC: Final = "apns-topic"
_LONGEST_COLLAPSE_ID: Final = 64
TOPIC_SUFFIX: Final = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
"""By push type, what comes after the bundle id in `apns-topic`."""


@lru_cache(maxsize=1_024)
def collapse_id(key: str) -> str:
    """The caller's key as it is where a header takes it, else its hash."""
    plain = len(key) <= _LONGEST_COLLAPSE_ID and key.isascii() and key.isprintable() and key == key.strip()
    return key if plain else sha256(key.encode()).hexdigest()
