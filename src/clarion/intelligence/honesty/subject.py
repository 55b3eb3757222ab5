"""What the rules look at: a title and a body in one language, and what is known of the data behind them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from clarion.intelligence.honesty.claims import Facts

BLANK = "\ufffc"
"""Stands in a text for what nobody knows before it is sent."""

Severity: TypeAlias = Literal["error", "warning"]
Field: TypeAlias = Literal["title", "body"]
NO_FACTS = Facts({})
_TAGS = {"{{": ("}}", BLANK), "{%": ("%}", ""), "{#": ("#}", "")}


class Said(NamedTuple):
    """One text. In `literal` and `shown`, `BLANK` stands for what is not known yet.

    `literal`: as it was written, without its expressions; `shown`: as somebody reads it of whom everything is known;
    `least`: as somebody of whom nothing is; None: they get no message. `missing`: expressions that have nothing to
    say about some people; `names`: all that its expressions ask for, such as `data.ends_at`.
    """

    literal: str
    shown: str
    least: str | None = None
    missing: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def plain(cls, text: str) -> "Said":
        """A text without expressions."""
        return cls(text, text, text)


class Subject(NamedTuple):
    """One message in one language. `locale` None: nobody said which.

    `facts`: what its data bears out; `may_hurry`: security alerts and the like.
    """

    title: Said
    body: Said
    locale: str | None = None
    facts: Facts = NO_FACTS
    may_hurry: bool = False

    def texts(self) -> Iterator[tuple[Field, Said]]:
        """Title and body, for rules about both."""
        yield "title", self.title
        yield "body", self.body


class Found(NamedTuple):
    """What a rule found: in `title` or `body`, the part that offends, what is wrong with it, what would be right."""

    field: Field
    part: str
    message: str
    instead: str


Check: TypeAlias = Callable[[Subject], Iterable[Found]]


class Rule(NamedTuple):
    """A rule: what it is about, for the reference, and how it looks at a message. `good` and `bad` are titles."""

    name: str
    severity: Severity
    about: str
    bad: str
    good: str
    check: Check


class Finding(NamedTuple):
    """What is told of a message. `blocks`: the project does not let such a message through."""

    rule: str
    severity: Severity
    blocks: bool
    field: str
    locale: str | None
    part: str
    message: str
    instead: str


def without_tags(source: str) -> str:
    """A minijinja text with `BLANK` for each expression, and nothing for statements and comments."""
    pieces, at = list[str](), 0
    while (start := source.find("{", at)) >= 0:
        closing, stand_in = _TAGS.get(source[start : start + 2], ("", ""))
        if not closing:
            pieces.append(source[at : start + 1])
            at = start + 1
            continue
        end = source.find(closing, start + 2)
        if end < 0:
            break
        pieces += (source[at:start], stand_in)
        at = end + 2
    return "".join([*pieces, source[at:]])
