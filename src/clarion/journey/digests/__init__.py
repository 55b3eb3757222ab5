"""Digests: what waits for a person, goes together as one message, and is made of the words of all."""
