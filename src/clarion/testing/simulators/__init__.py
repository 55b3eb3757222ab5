"""Push services of others, simulated for tests: they check, answer as a script says, and count what devices show.

Real TLS and HTTP/2. Needs the extra `clarion[testing]`.
"""

from clarion.testing.simulators.apns import ApnsSimulator, Registered
from clarion.testing.simulators.apns_senders import SigningKey
from clarion.testing.simulators.fcm import FcmSimulator
from clarion.testing.simulators.script import (
    Accept,
    Break,
    Delay,
    HangUp,
    Leave,
    Raw,
    Refuse,
    Script,
    Stall,
)
from clarion.testing.simulators.shown import Device, Message, Shown

__all__ = [
    "Accept",
    "ApnsSimulator",
    "Break",
    "Delay",
    "Device",
    "FcmSimulator",
    "HangUp",
    "Leave",
    "Message",
    "Raw",
    "Refuse",
    "Registered",
    "Script",
    "Shown",
    "SigningKey",
    "Stall",
]
