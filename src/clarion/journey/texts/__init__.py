"""Texts: what a message says, in whose language, by which means; and what a text may be made of."""
