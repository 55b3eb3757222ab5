"""Experiments: who gets which wording, what came of each, and which one won."""
