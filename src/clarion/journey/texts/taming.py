"""Taming: what a text may be made of, so that nobody's data makes it large or slow.

The engine's fuel bounds steps and strings. Lists it does not bound: `[1] * n` is one step, and so is printing it; a
list that holds the one before twice doubles with each statement. So a text may not build lists that grow: see `tamed`,
and docs/decisions/0030.
"""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

NUMBER, ADDEND, KNOWN, WHOLE = "_number", "_addend", "_known", "_whole"
"""Filters that are put behind what is multiplied, added, filtered or joined: they refuse what is missing, and lists."""
LONGEST_SOURCE = 40_000
MOST_IN_A_LIST = 20
_TOLD = 60

OWN_FILTERS = frozenset({"money", "number", "percent", "date", "time", "datetime", "plural", "truncate_width"})
ZONED_FILTERS = frozenset({"date", "time", "datetime"})
# The engine's own, without those by which a list holds another one twice: zip, chain, batch, slice, groupby.
_FILTERS = """
    abs attr bool capitalize count d default dictsort e escape first float format indent int items join last
    length lines list lower map max min reject rejectattr replace reverse round safe select
    selectattr sort split string sum title tojson trim truncate unique upper urlencode wordwrap
"""
_TESTS = """
    boolean defined divisibleby endingwith eq equalto even false float ge greaterthan gt in integer iterable le
    lessthan lower lt mapping ne none number odd safe sameas sequence startingwith string true undefined upper
"""
FILTERS = OWN_FILTERS | frozenset(_FILTERS.split())
TESTS = frozenset(_TESTS.split())
DEFAULTS = frozenset({"d", "default"})
_MAY_GIVE_NULL = DEFAULTS | {"attr", "first", "last", "max", "min"}
FUNCTIONS = frozenset({"range"})
# Values are Python's own, and so are their methods: append and clear would change what the next person gets.
_METHODS = """
    get items keys values capitalize count endswith find isalnum isalpha isdigit islower isupper join lower lstrip
    replace rstrip split splitlines startswith strip title upper cycle changed
"""
METHODS = frozenset(_METHODS.split())
REMOVED_GLOBALS = ("debug", "dict", "namespace", "range")
_STATEMENTS = frozenset("if elif else endif for endfor set endset with endwith filter endfilter raw endraw".split())  # noqa: SIM905 - reads as a sentence
_REFUSED = frozenset({"macro", "call", "import", "from", "extends", "block", "do", "autoescape"})
_KEYWORDS = _STATEMENTS | {"and", "or", "not", "in", "is", "recursive"}
_OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "elif", "else"})
_CONSTANTS = frozenset({"true", "false", "none", "True", "False", "None"})
_IS_THERE = "is not sameas none"
"""The engine's own, true of what is missing too; the tests that texts use (`is none`) are ours."""
_HAS_VALUE = "!= none"
"""The same, and an error in the engine for what is missing: for filters that would take it."""

_OPENING = re.compile(r"\{\{|\{%|\{#")
_PATH = re.compile(r"[^\W\d]\w*( \. [^\W\d]\w*| \[ \w+ \])*")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"""|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"|(?P<number>\d\w*(?:\.\d\w*)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<mark>\*\*|//|==|!=|<=|>=|[-+*/%<>=.,:|~()\[\]{}])",
    re.DOTALL,
)


class Refused(Exception):
    """A text is made of what no text may be made of; says what."""


class Tamed(NamedTuple):
    """A text as it is compiled, and the filters that it uses."""

    source: str
    filters: frozenset[str]

    @property
    def is_zoned(self) -> bool:
        """Whether it tells a time, as the person's clock shows it."""
        return not self.filters.isdisjoint(ZONED_FILTERS)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


@lru_cache(maxsize=4_096)
def tamed(source: str) -> Tamed:
    """The text with guards behind what is multiplied or added, and an error in place of a null, printed or filtered.

    Raises:
        Refused: unknown filters, tests and functions; macros, maps, and lists that others could be built of.
    """
    if len(source) > LONGEST_SOURCE:
        raise Refused(f"is longer than {LONGEST_SOURCE:,} characters with all that it includes")
    used: set[str] = set()
    pieces: list[str] = []
    at = 0
    for is_statement, tokens in _tags(source):
        try:
            guarded = _Tag(source, is_statement, tokens).guarded(used)
        except Refused as refused:
            line = source.count("\n", 0, tokens[0].start) + 1
            raise Refused(f"{refused}{f' (line {line})' if chr(10) in source else ''}") from None
        pieces += (source[at : tokens[0].start], guarded)
        at = tokens[-1].end
    return Tamed("".join((*pieces, source[at:])), frozenset(used))


def _tags(source: str) -> Iterator[tuple[bool, list[_Token]]]:
    """Whether each is a statement, and its tokens; empty ones are left out, for the engine to refuse."""
    at = 0
    while (opening := _OPENING.search(source, at)) is not None:
        if opening[0] == "{#":
            end = source.find("#}", opening.end())
            at = len(source) if end < 0 else end + 2
            continue
        tokens, at = _tokens(source, opening.end(), "}}" if opening[0] == "{{" else "%}")
        is_statement = opening[0] == "{%"
        if is_statement and [token.text for token in tokens] == ["raw"]:
            ending = _END_RAW.search(source, at)
            at = len(source) if ending is None else ending.end()
        elif tokens:
            yield is_statement, tokens


def _tokens(source: str, at: int, closing: str) -> tuple[list[_Token], int]:
    tokens: list[_Token] = []
    if source[at : at + 1] in ("-", "+"):
        at += 1
    while not source.startswith(closing, at):
        if source[at : at + 1] in ("-", "+") and source.startswith(closing, at + 1):
            return tokens, at + 3
        found = _TOKEN.match(source, at)
        if found is None:
            what = source[at] if at < len(source) else f"end of input, {closing} is missing"
            raise Refused(f"syntax error: unexpected {what}")
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found[0], found.start(), found.end()))
        at = found.end()
    return tokens, at + 2


class _Bracket:
    """An open bracket. `is_sequence`: what it holds is a list; `open`: how many expressions stand in it."""

    __slots__ = ("holds_sequence", "is_call", "is_sequence", "open")

    def __init__(self, *, is_call: bool, is_sequence: bool) -> None:
        self.is_call, self.is_sequence = is_call, is_sequence
        self.open, self.holds_sequence = 0, False


class _Tag:
    """One expression or statement of a text."""

    def __init__(self, source: str, is_statement: bool, tokens: list[_Token]) -> None:
        self._source = source
        self._head = tokens[0].text if is_statement else ""
        self._tokens = tokens
        self._brackets: list[_Bracket] = []
        self._past_in = False
        self._guards: dict[int, str] = {}  # by the place in the source that they go to

    def guarded(self, used: set[str]) -> str:
        """What stands between its marks, with all guards; adds to `used` which filters it uses. Raises Refused."""
        if self._head in _REFUSED:
            raise Refused(f"{{% {self._head} %}} has no place in a text")
        for at, token in enumerate(self._tokens):
            if token.kind == "name":
                self._name(at, token.text, used)
            elif token.kind == "mark":
                self._mark(at, token.text)
        source, at, end = self._source, self._tokens[0].start, self._tokens[-1].end
        pieces: list[str] = []
        for place in sorted(self._guards):
            pieces += (source[at:place], self._guards[place])
            at = place
        text = "".join((*pieces, source[at:end]))
        if self._head or not self._may_print_null():
            return text
        whole = text if self._is_path(0, len(self._tokens) - 1) else f"({text})"
        return f"{whole} if {whole} {_IS_THERE} else none{self._guard(KNOWN, len(self._tokens) - 1, 0)}"

    def _is_path(self, start: int, last: int) -> bool:
        """Whether it is a value of the data, as it is: `user.name`, `data["name"]`, `data.list[0]`."""
        tokens = self._tokens[start : last + 1]
        told = " ".join(token.text if token.kind != "text" else "0" for token in tokens)
        return _PATH.fullmatch(told) is not None and told not in _CONSTANTS

    def _may_print_null(self) -> bool:
        """Whether all of it may be null: what operators make of values never is."""
        last = len(self._tokens) - 1
        chooses = any(token.kind == "name" and token.text in ("if", "and", "or") for token in self._tokens)
        return chooses or (self._operand_start(last) == 0 and self._may_be_null(last))

    def _may_be_null(self, last: int) -> bool:
        """Whether the operand that ends there may be: what a filter made of something mostly is not."""
        at = self._past_brackets(last, -1) if self._text(last) == ")" else last
        if self._text(at - 1) == "|" and self._tokens[at].kind == "name":
            return self._text(at) in _MAY_GIVE_NULL
        return self._tokens[last].kind not in ("text", "number")

    def _filtered(self, last: int, guard: str = KNOWN) -> None:
        """A guard behind the operand that ends there, unless it has one or is never null."""
        tokens, start = self._tokens, self._operand_start(last)
        place = tokens[last].end
        said = [token.text for token in tokens[start : last + 1] if token.kind == "name"]
        if place in self._guards or said.count("if") > said.count("else"):
            return  # an if without an else is nothing on purpose
        if guard == WHOLE:
            self._guards[place] = self._guard(guard, last)
        elif self._is_path(start, last):
            path = self._source[tokens[start].start : place]
            self._guards[tokens[start].start] = "("
            self._guards[place] = f" if {path} {_HAS_VALUE} else none{self._guard(guard, last)})"
        elif self._may_be_null(last):
            self._guards[place] = self._guard(guard, last)

    def _name(self, at: int, name: str, used: set[str]) -> None:
        before, is_called = self._text(at - 1), self._text(at + 1) == "("
        if before == "|" or (self._head == "filter" and at == 1):
            self._filter(at, name, used)
        elif before == "is" or (before == "not" and self._text(at - 2) == "is"):
            if name not in TESTS and name not in _KEYWORDS:
                raise Refused(f"unknown test: test {name} is unknown{_meant(name, TESTS)}")
        elif is_called and before == "." and name not in METHODS:
            raise Refused(f"unknown method: {name} is none that a text may call{_meant(name, METHODS)}")
        elif is_called and before != "." and name not in _KEYWORDS and name not in FUNCTIONS:
            raise Refused(f"unknown function: {name} is unknown")
        elif name == "recursive" and self._head == "for" and before != ".":
            raise Refused("a loop that calls itself has no place in a text")
        self._past_in = self._past_in or name == "in"
        if self._brackets and name not in _CONSTANTS and name not in _KEYWORDS and before not in (".", "|", "is"):
            self._brackets[-1].open += 1

    def _filter(self, at: int, name: str, used: set[str]) -> None:
        if name not in FILTERS:
            raise Refused(f"unknown filter: filter {name} is unknown{_meant(name, FILTERS)}")
        if name == "map" and not self._maps_plainly(at):
            raise Refused('map takes an attribute or a filter without arguments: map(attribute="name"), map("upper")')
        used.add(name)
        if name not in DEFAULTS and self._head != "filter":  # a block is a text
            self._filtered(at - 2, WHOLE if name == "join" else KNOWN)

    def _maps_plainly(self, at: int) -> bool:
        """Whether it puts nothing in place of what is not there: that might be another list."""
        first, second = self._text(at + 2), self._text(at + 3)
        return self._text(at + 1) == "(" and (first == "attribute" or second == ")")

    def _mark(self, at: int, mark: str) -> None:
        if mark in "([":
            is_call = self._ends_operand(at - 1)
            if is_call and mark == "(" and self._tokens[at - 1].kind != "name":
                raise Refused("only what has a name can be called")
            self._brackets.append(_Bracket(is_call=is_call, is_sequence=mark == "[" and not is_call))
        elif mark in ")]":
            if not self._brackets:
                raise Refused(f"syntax error: unexpected {mark}")
            self._close(self._brackets.pop())
        elif mark in "{}":
            raise Refused("a map has no place in a text; use if, or put it into data")
        elif mark == ",":
            self._comma()
        elif mark in "*+~" and self._ends_operand(at - 1):
            for last in (at - 1, self._operand_end(at + 1)):
                self._operand(mark, last)

    def _operand(self, mark: str, last: int) -> None:
        if mark == "~":
            self._filtered(last)
        elif not self._guards.get(self._tokens[last].end, "").startswith(f"|{NUMBER}"):
            self._guards[self._tokens[last].end] = self._guard(NUMBER if mark == "*" else ADDEND, last)

    def _comma(self) -> None:
        if self._brackets:
            inmost = self._brackets[-1]
            inmost.is_sequence = inmost.is_sequence or not inmost.is_call
        elif self._head in ("", "set") or (self._head == "for" and self._past_in):
            raise Refused("a comma makes a list here; lists stand in [ ]")

    def _close(self, bracket: _Bracket) -> None:
        if bracket.is_sequence:
            if bracket.holds_sequence:
                raise Refused("a list within a list has no place in a text")
            if bracket.open and self._head:
                raise Refused("a list in a statement holds constants only")
            if bracket.open > MOST_IN_A_LIST:
                raise Refused(f"a list of more than {MOST_IN_A_LIST} expressions")
        if self._brackets:
            around = self._brackets[-1]
            around.open += bracket.open
            around.holds_sequence = around.holds_sequence or bracket.is_sequence or bracket.holds_sequence

    def _ends_operand(self, at: int) -> bool:
        if at < 0:
            return False
        kind, text = self._tokens[at].kind, self._tokens[at].text
        if kind == "name":
            is_word = text in _OPERATORS or (at == 0 and self._head)
            return not is_word or self._text(at - 1) in (".", "|")
        return kind in ("text", "number") or text in (")", "]")

    def _operand_end(self, at: int) -> int:
        """The last token of the operand that begins there, with all its fields, calls and filters."""
        while self._text(at) in ("-", "+", "not"):
            at += 1
        at = self._past_brackets(at, 1) if self._text(at) in ("(", "[") else at + 1
        while True:
            following = self._text(at)
            if following in (".", "|"):
                at += 2
            elif following in ("(", "["):
                at = self._past_brackets(at, 1)
            else:
                return min(at, len(self._tokens)) - 1

    def _operand_start(self, at: int) -> int:
        """The first token of the operand that ends there."""
        while True:
            at = self._past_brackets(at, -1) + 1 if self._text(at) in (")", "]") else at
            before = self._text(at - 1)
            if before in (".", "|"):
                at -= 2
            elif self._text(at) in ("(", "[") and self._ends_operand(at - 1):
                at -= 1
            else:
                return max(at, 0)

    def _past_brackets(self, at: int, step: int) -> int:
        """The token behind, or before, the one that matches the bracket there; the end if none does."""
        depth = 0
        while 0 <= at < len(self._tokens):
            mark = self._text(at) if self._tokens[at].kind == "mark" else ""
            depth += (mark in ("(", "[")) - (mark in (")", "]"))
            at += step
            if not depth:
                break
        return at

    def _guard(self, name: str, last: int, start: int | None = None) -> str:
        """A guard that knows what it guards, to name it when it is missing."""
        first = self._tokens[self._operand_start(last) if start is None else start]
        told = re.sub(r"\s+", " ", self._source[first.start : self._tokens[last].end])
        told = re.sub(r'["\\]', "'", told)
        return f'|{name}("{told[:_TOLD]}")'

    def _text(self, at: int) -> str:
        return self._tokens[at].text if 0 <= at < len(self._tokens) else ""


def _meant(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
