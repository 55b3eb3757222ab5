"""Fakes that we test with and ship, so that those who build on Clarion can test with them too."""

from clarion.testing.chance import SeededChance
from clarion.testing.clock import ManualClock
from clarion.testing.memory import MemoryStore
from clarion.testing.plain_reading import Known, holds
from clarion.testing.providers import ScriptedProvider

__all__ = ["Known", "ManualClock", "MemoryStore", "ScriptedProvider", "SeededChance", "holds"]
