"""Typed wire messages that both ends share."""
