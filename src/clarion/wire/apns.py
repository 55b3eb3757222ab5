"""APNs' push types and what they make of a topic ("Sending notification requests to APNs")."""

from typing import Final

PUSH_TYPE: Final = "apns-push-type"
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
