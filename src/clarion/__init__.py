"""Clarion: the push notification system that a team runs itself."""

__version__ = "0.1.0"
