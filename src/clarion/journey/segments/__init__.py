"""Segments: who is meant by a rule, whether it can be looked up at all, and how it reads."""

from clarion.journey.segments.lookup import check, crowd_in, walk

__all__ = ["check", "crowd_in", "walk"]
