"""The gates of a decision: one file a subject, each a pure function that says pass, hold or drop, and why."""

from clarion.journey.rules import digest
from clarion.journey.rules.caps import CapGate, by_turn, caps_query, check_caps, place, slot, turn
from clarion.journey.rules.category import category, misfit
from clarion.journey.rules.consent import Consent, locked
from clarion.journey.rules.digest import DigestGate, Gathered
from clarion.journey.rules.duplicate import Duplicate, content_hash
from clarion.journey.rules.exempt import EXEMPT, exempt
from clarion.journey.rules.holdout import Group, groups, holdout
from clarion.journey.rules.local_time import LocalTimeGate
from clarion.journey.rules.membership import Membership, crowd_name
from clarion.journey.rules.quiet import Quiet, needs_preferences, needs_zones
from clarion.journey.rules.reach import device, permission, within_reach
from clarion.journey.rules.ruling import Ruling, record
from clarion.journey.rules.timing import PAUSED_AGAIN_MS, cancelled, expiry, paused, schedule
from clarion.journey.rules.trial import Trial, trial
from clarion.journey.rules.updates import (
    WITHDRAWING,
    is_quiet,
    is_withdrawal,
    no_consent_asked,
    no_duplicate,
    superseded,
)

__all__ = [
    "EXEMPT",
    "PAUSED_AGAIN_MS",
    "WITHDRAWING",
    "CapGate",
    "Consent",
    "DigestGate",
    "Duplicate",
    "Gathered",
    "Group",
    "LocalTimeGate",
    "Membership",
    "Quiet",
    "Ruling",
    "Trial",
    "by_turn",
    "cancelled",
    "caps_query",
    "category",
    "check_caps",
    "content_hash",
    "crowd_name",
    "device",
    "digest",
    "exempt",
    "expiry",
    "groups",
    "holdout",
    "is_quiet",
    "is_withdrawal",
    "locked",
    "misfit",
    "needs_preferences",
    "needs_zones",
    "no_consent_asked",
    "no_duplicate",
    "paused",
    "permission",
    "place",
    "record",
    "schedule",
    "slot",
    "superseded",
    "trial",
    "turn",
    "within_reach",
]
