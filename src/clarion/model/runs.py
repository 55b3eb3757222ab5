"""Runs: where a person is in an automation."""

from enum import StrEnum

import msgspec

from clarion.model.words import Json, Key, Millis


class Ended(StrEnum):
    """How a run ended."""

    DONE = "done"
    GOAL = "goal"
    EXIT = "exit"
    CANCELLED = "cancelled"


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One person in one version of an automation; `run_key` tells several runs of one person apart.

    `step` is the place in the list of steps. `waits`: that step has begun and lasts until `due_at`, since `since`; else
    it is to be done. `due_at` None: a worker has it in hand, or it ended. `began_at` is when what started it happened;
    `moves` counts steps. `key` is None until stored.
    """

    key: Key | None = None
    automation: str
    version: int
    user: Key
    run_key: str = ""
    step: int = 0
    waits: bool = False
    due_at: Millis | None = None
    began_at: Millis
    since: Millis
    event: Key | None = None
    data: Json = {}
    moves: int = 0
    ended: Ended | None = None
