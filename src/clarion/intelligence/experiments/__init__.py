"""Experiments: who sees which variant, and what the counts say, whenever somebody looks."""

from clarion.intelligence.experiments.assignment import BUCKETS, bucket, table
from clarion.intelligence.experiments.sequences import Counts, Difference, Interval, difference, rate_interval

__all__ = [
    "BUCKETS",
    "Counts",
    "Difference",
    "Interval",
    "bucket",
    "difference",
    "rate_interval",
    "table",
]
