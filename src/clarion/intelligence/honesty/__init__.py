"""Title honesty: rules over the words of a message, each a small function, all of them in one registry.

`subject.py` says what a rule looks at and what it finds, `registry.py` lists the rules.
"""

from clarion.intelligence.honesty.claims import Facts
from clarion.intelligence.honesty.registry import RULES, lint
from clarion.intelligence.honesty.subject import BLANK, Finding, Said, Subject, without_tags

__all__ = ["BLANK", "RULES", "Facts", "Finding", "Said", "Subject", "lint", "without_tags"]
