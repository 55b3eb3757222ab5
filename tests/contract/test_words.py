"""Texts: what they may be made of, what their filters say in which language, and where screens cut them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from minijinja import Environment, TemplateError

from clarion.intelligence.screens import SCREENS, Room, cut
from clarion.intelligence.widths import clip, graphemes, width
from clarion.journey.texts.locales import best, conventions
from clarion.journey.texts.partials import expanded
from clarion.journey.texts.taming import FILTERS, OWN_FILTERS, TESTS, Refused, tamed
from clarion.journey.texts.words import LONGEST, Setting, TextError, Texts, chosen
from clarion.model import Message, Partial

FAMILY = "👨‍👩‍👧"
NNBSP, NBSP = "\u202f", "\xa0"


def said(
    source: str, locale: str | None = None, *, zone: str | None = None, setting: Setting | None = None, **data: Any
):
    """What a body renders to for somebody."""
    user = {"user_id": "u1", "timezone": zone, "locale": locale}
    message = Message(title="Hello", body=source)
    texts = Texts(message, chosen(message, None, None).content, setting or Setting(locale))
    context = {"data": data, "user": user, "project": {"name": "Shop"}, "now": "2026-12-24T16:30:00+00:00"}
    return texts.render(context)["body"]


@pytest.mark.parametrize(
    ("source", "locale", "expected"),
    [
        ('{{ 1234.5 | money("EUR") }}', "en", "€1,234.50"),
        ('{{ "1234.5" | money("eur") }}', "de-AT", f"€{NBSP}1.234,50"),
        ('{{ 1234.5 | money("JPY") }}', "ja", "￥1,234"),
        ('{{ 1234.5 | money("EUR") }}', "xx-Nowhere", "€1,234.50"),
        ("{{ 12345.678 | number }} {{ 2.5 | number(0) }}", "de", "12.345,678 2"),
        ("{{ 0.256 | percent }} {{ 0.256 | percent(1) }}", "fr", f"26{NBSP}% 25,6{NBSP}%"),
        ('{{ now | date("long") }} {{ "2026-12-24" | date }}', "de", "24. Dezember 2026 24.12.2026"),
        ("{{ now | time }} {{ 1798129800 | time }} {{ 1798129800000 | time }}", "de", "16:30 16:30 16:30"),
        ('{{ now | datetime("short") }}', "en", f"12/24/26, 4:30{NNBSP}PM"),
        (
            '{% for n in [0, 1, 2, 5, 21] %}{{ n | plural(one="a", few="b", many="c", other="d") }}{% endfor %}',
            "ru",
            "cabca",
        ),
        ('{{ 1 | plural(one="comment", other="comments") }}', "en", "comment"),
        ('{{ 1 | plural(other="コメント") }}', "ja", "コメント"),
        (f'{{{{ "{FAMILY}{FAMILY}{FAMILY}" | truncate_width(5) }}}}', "en", f"{FAMILY}{FAMILY}…"),
        ('{{ "a long name" | truncate_width(7) }}', "en", "a long…"),
        ('{{ data.nope | default(3) | money("EUR") }}', "en", "€3.00"),
    ],
)
def test_filters_speak_the_language(source: str, locale: str, expected: str) -> None:
    assert said(source, locale) == expected


def test_times_are_told_by_the_persons_clock() -> None:
    assert said("{{ now | time }}", "de", zone="Asia/Tokyo") == "01:30"
    assert said("{{ now | time }}", "de", setting=Setting("de", None, zone="Europe/Vienna")) == "17:30"
    assert said("{{ data.at | time }}", "de", zone="Asia/Tokyo", at="2026-12-24T09:00:00") == "09:00"
    message = Message(title="{{ now | time }}")
    assert Texts(message, chosen(message, None, None).content).personal


def test_numbers_follow_the_person_only_in_their_own_language() -> None:
    source = '{{ 1234.5 | money("EUR") }} {{ 0 | plural(one="x", other="y") }}'
    assert said(source, "fr", setting=Setting("fr-CA", "en")) == "€1,234.50 y"  # zero is singular in French
    assert said(source, setting=Setting("de-AT", "de")).startswith(f"€{NBSP}1.234,50")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('{{ data.price | money("EUR") }}', "`data.price` is undefined"),
        ("{{ user.first_name }}", "`user.first_name` is undefined"),
        ("{{ data.n * 2 }}", "`data.n` is undefined"),
        ('{{ data.get("n") + 1 }}', "`data.get('n')` is undefined"),
        ('{{ 1 | money("EURO") }}', "ISO 4217"),
        ('{{ "many" | money("EUR") }}', "takes a number, not a text"),
        ('{{ "soon" | date }}', "takes a time"),
        ('{{ now | date("tiny") }}', "short, medium, long, full"),
        ('{{ 1 | plural(one="x") }}', "needs other="),
        ("{{ 1 | money }}", "ISO 4217"),
        ('{{ now | date(zone="UTC") }}', "date: takes style and nothing else"),
        ("{{ 1e27 | number(2) }}", "number: takes a number, not such a number"),
        ("{{ user.timezone }}", "`user.timezone` is undefined or null"),
        ('{{ data["none"].name }}', "undefined"),
        ("{{- user['locale'] -}}", "`user['locale']` is undefined or null"),
        ("{{ project.name.nope() }}", "nope is none that a text may call"),
        ("{{ 1 | mony }}", "did you mean money?"),
        ("{{ 1 is od }}", "did you mean odd?"),
        ("{% if false %}{{ 1 | nope }}{% endif %}", "filter nope is unknown"),
        ("one\ntwo {{ 1 | nope }}", "(line 2)"),
        ("one\n{{ user.nope }}", "(line 2)"),
    ],
)
def test_what_is_wrong_is_named(source: str, told: str) -> None:
    with pytest.raises(TextError) as wrong:
        said(source)
    assert told in str(wrong.value)


NOT_THERE = [
    ("{{ data.nope }}", "`data.nope`"),
    ("{{ (data.nope) }}", "data.nope"),
    ("{{ data.nope | upper }}", "`data.nope`"),
    ("{{ data.nope | length }}", "`data.nope`"),
    ("{{ data.nope | tojson }}", "`data.nope`"),
    ('{{ data.nope | urlencode ~ "/" }}', "`data.nope`"),
    ('{{ data.nope | money("EUR") }}', "`data.nope`"),
    ("{{ data.nope | date }} {{ data.nope }}", "`data.nope`"),
    ('{{ data.nope | plural(one="a", other="b") }}', "`data.nope`"),
    ("{{ data.nope | trim | truncate_width(4) }}", "`data.nope`"),
    ('{{ "No. " ~ data.nope }}', "`data.nope`"),
    ('{{ "you" if not data.there else data.nope }}', "data.nope"),
    ('{{ data.there and data.get("nope") }}', "data.get('nope')"),
    ("{{ data.nope | default(data.nope) }}", "data.nope"),
    ("{% set name = data.nope %}{{ name }}", "undefined"),
    ("{{ data.nope.name }}", "data.nope"),
    ("{% filter upper %}{{ data.nope }}{% endfilter %}", "`data.nope`"),
]


@pytest.mark.parametrize("data", [{}, {"nope": None}], ids=["missing", "null"])
@pytest.mark.parametrize(("source", "told"), NOT_THERE)
def test_null_is_missing_wherever_it_is_printed(source: str, told: str, data: dict[str, Any]) -> None:
    with pytest.raises(TextError, match="undefined") as wrong:
        said(source, there=True, **data)
    assert told in str(wrong.value)


@pytest.mark.parametrize("data", [{}, {"nope": None}], ids=["missing", "null"])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{{ data.nope | default("y") }} {{ data.nope | d("z") }}', "y z"),
        ('{{ data.nope | default("y", true) | upper }}', "Y"),
        ("[{{ data.nope | default }}]", "[]"),
        ('{{ data.get("nope") | default("y") }} {{ data.none | first | default("nobody") }}', "y nobody"),
        ('{{ data.zero | default("y") }} {{ data.zero | default("y", true) }}', "0 y"),
        ("{% if data.nope is defined %}a{% else %}b{% endif %}", "b"),
        ("{% if data.nope is none and data.nope is undefined %}a{% else %}b{% endif %}", "a"),
        ("{% if data.zero is defined and data.zero is not none %}a{% endif %}", "a"),
        ('{{ "a" if data.nope is defined }}{{ ("b" if data.zero) ~ "c" }}', "c"),
    ],
)
def test_a_text_asks_for_what_is_missing_in_one_way(source: str, expected: str, data: dict[str, Any]) -> None:
    assert said(source, zero=0, none=[], **data) == expected


def test_a_list_is_joined_without_holes() -> None:
    people = [{"name": "Ada"}, {"name": None}, {}]
    with pytest.raises(TextError, match=r"an item of `data.people\|map"):
        said('{{ data.people|map(attribute="name") | join(", ") }}', people=people)
    assert said('{{ data.people|map(attribute="name") | select | join(", ") }}', people=people) == "Ada"
    with pytest.raises(TextError, match=r"an item of `data\.names`"):
        said("{{ data.names | join }}", names=["Ada", None])


def test_a_block_may_go_through_several_filters() -> None:
    assert said("{% filter upper | trim | truncate_width(4) %} {{ data.name }} {% endfilter %}", name="Adele") == "ADE…"


def test_numbers_are_printed_as_they_came() -> None:
    assert said("{{ data.n }} {{ data.n | round(1) }} {{ data.n ~ '!' }}", n=2.0) == "2.0 2.0 2.0!"


@pytest.mark.parametrize(
    "source",
    [
        "{{ [1] * 9 }}",
        "{{ 9 * [1] | list }}",
        "{{ ([1]) * 9 }}",
        "{{ 'x' * 90 }}",
        "{% set filter = 9 %}{{ filter * [1] }}",
        "{{ data.list + data.list }}",
        "{{ [\n1] * data.get(\n'n') }}",
        "{% set a = [1, 1] %}{% set a = [a, a] %}",
        "{% set a = (data.list, data.list) %}",
        "{% set a = data.list, data.list %}",
        "{{ 1 and data.list, data.list, data.list }}",
        "{{ data.list) or (data.list }}",
        "{% for x in [data.list, data.list] %}{% endfor %}",
        "{% with a = [data.list] %}{% endwith %}",
        "{{ [[1]] }}",
        "{{ [(1, 2)] }}",
        "{{ ([1], 2) | length }}",
        "{{ [" + "data.list, " * 21 + "] }}",
        "{{ {'a': data.list} }}",
        "{{ namespace(a=1) }}",
        "{% set n = namespace %}{{ n(a=1) }}",
        "{{ dict(a=1) }}",
        "{{ debug() }}",
        "{{ data.list | zip(data.list) }}",
        "{{ data.list | batch(2) }}",
        "{{ data.list | map('default', data.list) }}",
        "{% macro m() %}{% endmacro %}",
        "{% for x in data.list recursive %}{{ loop(data.list) }}{% endfor %}",
        "{{ range(1001) }}",
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "{% for a in range(101) %}{{ 1 | money('EUR') }}{% endfor %}",
        "{{ data.list.append(1) }}",
        "{{ data.list.extend(data.list) }}",
        "{{ data.clear() }}",
        "{{ (data.clear)() }}",
        "{{ data.update(data) }}",
        "{{ data.__class__ }}",
        "{{ data['clear']() }}",
        "{{ '}}' ~ [1] * 9 }}",
        "{{ 'it\\'s' ~ [1] * 9 }}",
        "{% raw %}{{ '{% endraw %}{{ [1] * 9 }}",
        "{%- if [1] * 9 -%}{%- endif -%}",
        "{% set a %}{% for i in range(1000) %}xxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endset %}{{ a ~ a ~ a }}",
    ],
)
def test_no_text_grows_without_bound(source: str) -> None:
    data = {"list": [1, 2], "n": 9}
    with pytest.raises(TextError):
        said(source, **data)
    assert data == {"list": [1, 2], "n": 9}  # and none changes what the next person gets


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ [data.a, data.b] | join(', ') }}", "1, 2"),
        ("{% if data.a in (1, 2) and data.b is not in [3] %}yes{% endif %}", "yes"),
        ("{{ data.a * 2 + data.b ** 2 - 1 }}", "5"),
        ("{{ -data.a * -2 }} {{ data.list | sum * 2 }}", "2 14"),
        ("{{ data.list | map('string') | join }} {{ data.list[1:] | first }}", "34 4"),
        ("{% for k, v in {} | default([]) %}{% endfor %}", None),
        ("{% for k, v in data | items if k == 'a' %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% for i in range(3) %}{{ loop.index * 2 }}{{ loop.cycle('a', 'b') }}{% endfor %}", "2a4b6a"),
        ("{{ 'a' + 'b' }} {{ data.name.upper() }} {{ data.get('x', 'y') }}", "ab ADA y"),
        ("{% raw %}{{ [1] * 5 }}{% endraw %}{# [1] * 5 #}", "{{ [1] * 5 }}"),
        ("{{ 1 if data.a == 1 else 2 * 3 }}", "1"),
        ("{{ data.list }} {{ data.list[0] }} {{ data['a'] }} {{- data.name }}", "[3, 4] 3 1Ada"),
        ("{{ data.nope is defined }} {{ data.nope | default('x') }} {{ data.a is none }}", "False x False"),
    ],
)
def test_ordinary_texts_are_as_they_were(source: str, expected: str | None) -> None:
    data = {"a": 1, "b": 2, "list": [3, 4], "name": "Ada"}
    if expected is None:
        with pytest.raises(TextError, match="a map has no place"):
            said(source, **data)
    else:
        assert said(source, **data) == expected


@pytest.mark.parametrize("value", [0, False, "", 1.0, [], [None], {"a": None}, 10**30])
def test_what_is_there_prints_as_it_is(value: Any) -> None:
    assert said("{{ data.value }}", value=value) == Environment().render_str("{{ v }}", v=value)


NUMBERS = st.one_of(
    st.integers(0, 9).map(str), st.sampled_from(["data.a", "data['b']", "data.list[0]", "(1 + 2)", "data.list|length"])
)
SUMS = st.lists(st.tuples(st.sampled_from(["+", "-", "*", " + ", " * ", " - "]), NUMBERS), min_size=1, max_size=6)


@given(NUMBERS, SUMS)
def test_guards_change_no_result(first: str, more: list[tuple[str, str]]) -> None:
    source = "{{ " + first + "".join(mark + number for mark, number in more) + " }}"
    data = {"a": 3, "b": 5, "list": [7, 8]}
    assert said(source, **data) == Environment().render_str(source, data=data)


def test_what_the_engine_has_is_what_we_allow() -> None:
    env = Environment()
    filters, tests = FILTERS - OWN_FILTERS, TESTS
    assert not [name for name in filters if _kind(env, f"{{{{ x | {name} }}}}") == "UnknownFilter"]
    assert not [name for name in tests if _kind(env, f"{{{{ x is {name} }}}}") == "UnknownTest"]


def _kind(env: Environment, source: str) -> str | None:
    try:
        env.render_str(source, x="1")
    except TemplateError as error:
        return error.kind
    return None


# --- partials and languages ------------------------------------------------------------------------------------------


def test_partials_come_in_the_language_and_never_in_a_circle() -> None:
    footer = Partial(name="footer", locales={"en": "Bye, {{ user.user_id }}", "de": "Tschüss"})
    loop = Partial(name="a", locales={"en": '{% include "b" %}'})
    back = Partial(name="b", locales={"en": "{%- include 'a' -%}"})
    partials = {"footer": footer, "a": loop, "b": back}
    assert said('X. {% include "footer" %}', setting=Setting("de-AT", "de", partials)) == "X. Tschüss"
    assert said('X. {% include "footer" %}', setting=Setting("fr", None, partials)) == "X. Bye, u1"
    for source, told in (
        ('{% include "a" %}', "a → b → a"),
        ('{% include "nope" %}', "no partial nope"),
        ("{% include data.x %}", "name of a partial"),
        ('{% include "footer" ignore missing %}', "name of a partial"),
    ):
        with pytest.raises(Refused, match=told):
            tamed(expanded(source, partials, "en"))


def test_many_partials_in_partials_are_too_long() -> None:
    partials = {f"p{n}": Partial(name=f"p{n}", locales={"en": f'{{% include "p{n + 1}" %}}' * 10}) for n in range(9)}
    partials["p9"] = Partial(name="p9", locales={"en": "x" * 100})
    with pytest.raises(Refused, match="longer than"):
        expanded('{% include "p0" %}', partials, None)


SUBTAGS = st.lists(st.sampled_from(["de", "AT", "Latn", "x", "1996"]), min_size=1, max_size=4).map("-".join)


@given(st.dictionaries(SUBTAGS, st.none(), min_size=1), SUBTAGS, SUBTAGS)
def test_the_most_exact_language_wins(texts: dict[str, None], wanted: str, default: str) -> None:
    found = best(texts, wanted, default)
    assert found is not None
    name = found[0].lower()
    prefixes = [one.lower() for one in texts if f"{wanted.lower()}-".startswith(f"{one.lower()}-")]
    if name in prefixes:  # a single letter belongs to what follows it
        assert all(len(one) <= len(name) or one.endswith("-x") for one in prefixes)
    else:
        assert all(one.endswith("-x") for one in prefixes)
        assert name == default.lower() or default.lower() not in {one.lower() for one in texts}


@given(st.text(max_size=40))
def test_no_language_is_beyond_us(locale: str) -> None:
    assert conventions(locale).plural_form(2)


# --- screens ---------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [FAMILY, "🇦🇹", "e\u0301", "漢字", "👍🏽", "a", "word", "ﬁ", " ", "\n", "…", "\u200b", "한국", "நி", "x" * 70]
)
TEXTS = st.lists(PIECES, max_size=60).map("".join)
ROOMS = st.builds(Room, st.integers(1, 5), st.integers(2, 50))


@given(TEXTS, ROOMS)
@example("a" * 40 + "b", Room(1, 40))
def test_a_cut_fits_and_splits_nothing(text: str, room: Room) -> None:
    shown = cut(text, room)
    assert len(shown.lines) <= room.lines
    assert all(width(line) <= room.columns for line in shown.lines)
    whole, seen = "".join(text.split()), "".join("".join(shown.lines).split())
    if shown.is_cut:
        assert seen.endswith("…")
        seen = seen.removesuffix("…")
        assert len(seen) < len(whole)
    else:
        assert seen == whole
    assert whole.startswith(seen)
    assert len(seen) in _ends(text)


def _ends(text: str) -> set[int]:
    """How many visible characters there are up to the end of each grapheme."""
    ends, at = {0}, 0
    for each in graphemes(text):
        at += len("".join(each.split()))
        ends.add(at)
    return ends


@given(TEXTS, st.integers(1, 60))
def test_truncation_fits_and_splits_nothing(text: str, columns: int) -> None:
    shown = clip(text, columns)
    assert width(shown) <= columns
    if shown != text:
        assert text.startswith(shown.removesuffix("…"))
        kept = shown.removesuffix("…")
        assert any(
            text[: len("".join(graphemes(text)[:n]))].rstrip() == kept.rstrip() for n in range(len(graphemes(text)))
        )


def test_screens_cut_as_documented() -> None:
    text = "Your order A-17 has left our house and will be with you on Thursday before noon, as you wished."
    by_name = {screen.name: cut(text, screen.body) for screen in SCREENS}
    assert by_name["iPhone, banner"].lines == [
        "Your order A-17 has left our house and",
        "will be with you on Thursday before…",
    ]
    assert by_name["Android, folded"].is_cut
    assert not by_name["iPhone, lock screen"].is_cut
    assert json.dumps(LONGEST) == "10000"
