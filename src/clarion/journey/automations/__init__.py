"""Automations: what may be asked of a person step by step, how a run moves, and what it wants done."""
