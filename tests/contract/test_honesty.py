"""The rules of title honesty: what each finds and what it lets pass, in several languages, whatever the text is."""
# ruff: noqa: RUF001 - full-width characters are what is tested

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.intelligence.honesty import RULES, Said, Subject, lint
from clarion.intelligence.screens import SCREENS
from clarion.intelligence.widths import beyond, width
from clarion.journey.texts import honesty
from clarion.model import Category, CategoryClass, Content, Message, ProjectSettings, Template

NO_FACTS = {"id": "shop", "name": "Shop"}


def found(
    title: str, body: str = "", locale: str | None = None, data: dict | None = None, *, mandatory: bool = False
) -> dict[str, str]:
    """The offending part by rule; data None: it is a template, whose data comes later."""
    if data is None:
        template = Template(name="t", locales={locale or "en": Content(title=title, body=body)})
        draft = honesty.of_template(template, NO_FACTS)
    else:
        kind = CategoryClass.MANDATORY if mandatory else CategoryClass.MARKETING
        message = Message(title=title, body=body, data=data)
        draft = honesty.of_message(message, {"general": Category(name="general", class_=kind)}, {}, NO_FACTS, locale)
    return {each.rule: each.part for each in honesty.findings(draft, ProjectSettings())}


# --- each rule, good and bad -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_the_examples_of_the_reference_are_true(name: str) -> None:
    rule = RULES[name]
    assert name in found(rule.bad, "For you.")
    assert found(rule.good, "For you.") == {}


BAD = [
    ("title_empty", "\u200b \u2060", "", "en", ""),
    ("title_empty", '{{ user.name | default("") }}', "", "en", ""),
    ("length", "注文した商品が発送されました。到着は明日です。", "", "ja", "です。"),
    ("length", "Hi", "word " * 20, "en", "ord word"),
    ("capitals", "SOMMERSCHLUSSVERKAUF", "", "de", "SOMMERSCHLUSSVERKAUF"),
    ("capitals", "ВАЖНОЕ СООБЩЕНИЕ", "", "ru", "ВАЖНОЕ СООБЩЕНИЕ"),
    ("marks", "Wirklich???", "", "de", "???"),
    ("marks", "無料！！", "", "ja", "！！"),
    ("marks", "Hi! You! There!", "", "en", "!"),
    ("marks", "Hello", "Get it $$$", "en", "$$$"),
    ("emoji", "🇫🇷🇩🇪🇪🇸 Hello", "", "en", "🇫🇷🇩🇪🇪🇸"),
    ("personalisation", "Hi {{ user['name'] }}", "", "en", "user.name"),
    ("personalisation", "Hello", "{% if user.vip %}Thanks{% endif %}", "en", "user.vip"),
    ("personalisation", "{{ user.points | round }} points", "", "en", "user.points"),
    ("personalisation", "In {{ user.timezone }}", "", "en", "user.timezone"),
    ("personalisation", "{% for one in user.friends %}{{ one.name }}{% endfor %}", "", "en", "user.friends"),
    ("urgency", "LAST  chance", "Shoes", "en", "LAST  chance"),
    ("urgency", "Letzte Chance!", "Schuhe", "de-AT", "Letzte Chance"),
    ("urgency", "DERNIERE CHANCE", "Chaussures", "fr", "DERNIERE CHANCE"),
    ("urgency", "¡Última oportunidad!", "Zapatos", "es_MX", "Última oportunidad"),
    ("urgency", "La\u200bst chance", "Shoes", "ja", "La\u200bst chance"),
    ("clickbait", "You won\u2019t believe this", "", "en", "You won\u2019t believe"),
    ("clickbait", "Was dann geschah", "", "de", "Was dann geschah"),
    ("clickbait", "Vous n'allez pas y croire", "", "fr", "Vous n'allez pas y croire"),
    ("clickbait", "No te lo vas a creer", "", "es", "No te lo vas a creer"),
    ("claim_number", "3 offers", "Two offers", "en", "3"),
    ("claim_number", "1.000 Schuhe", "100 Schuhe", "de", "1.000"),
    ("claim_percent", "５０％オフ", "靴", "ja", "50%"),
    ("claim_percent", "20 Prozent gespart", "20 Schuhe", "de", "20 Prozent"),
    ("claim_percent", "50% off", "Save {{ data.percent }}", "en", "50%"),
    ("claim_currency", "Ab 19,99 €", "19,90 €", "de", "19,99 €"),
    ("claim_currency", "From $5k", "From $5", "en", "$5k"),
    ("claim_date", "Bis 24. Dezember", "Bis 23.12.", "de", "24. Dezember"),
    ("claim_date", "Ce soir", "Chaussures", "fr", "Ce soir"),
    ("claim_date", "Hasta el viernes", "Hasta el jueves", "es", "viernes"),
    ("claim_date", "At 6 pm", "At 5 pm", "en", "6 pm"),
    ("fake_reply", "AW: Ihre Anfrage", "", "de", "AW:"),
    ("fake_reply", " fwd: Invoice", "", "en", "fwd:"),
    ("claim_date", "12.30 Uhr", "", "de", "12.30 Uhr"),
    ("claim_currency", "Pay $12.50", "", "en", "$12.50"),
    ("fake_badge", "5 new comments", "", "en", "5 new comments"),
    ("fake_badge", "(1) Hello", "", "en", "(1)"),
    ("fake_badge", "Sie haben 2 neue Nachrichten", "", "de", "2 neue Nachrichten"),
    ("fake_badge", "1 nouveau message", "", "fr", "1 nouveau message"),
    ("fake_badge", "3 mensajes sin leer", "", "es", "3 mensajes sin leer"),
    ("leftover", "Hello %s", "", "en", "%s"),
    ("leftover", "Hello", "Dear *|FNAME|*", "en", "*|FNAME|*"),
    ("leftover", "Hello", "lorem ipsum dolor", "en", "lorem ipsum"),
    ("leftover", "TODO title", "", "en", "TODO"),
    ("leftover", "Testnachricht 2", "", "de", "Testnachricht 2"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "title", "body", "locale", "part"), BAD)
def test_a_rule_finds_the_part_that_offends(rule: str, title: str, body: str, locale: str, part: str) -> None:
    parts = found(title, body, locale)
    assert rule in parts, parts
    assert part in parts[rule]


FINE = [
    ("Ihre Bestellung ist unterwegs", "Sie kommt morgen.", "de", {}),
    ("Wirklich?!", "Ja.", "de", {}),
    ("Your test results are here", "Open the app.", "en", {}),
    ('Hi {{ user.name | default("you") }}', "Hello", "en", {}),
    ("{% if user.name is defined %}Hi {{ user.name }}{% else %}Hi{% endif %}", "Hello", "en", {}),
    ("Room 5G, order A-17, 24/7", "Hello", "en", {}),
    ("50% off until Friday", "Until friday you save 50 percent.", "en", {}),
    ("50 % Rabatt", "Schuhe", "de", {"discount": 0.5}),
    ("Ab 19,99 €", "Nur EUR 19.99", "de", {}),
    ("Ab 19,99 €", "Schuhe", "de", {"price_in_cents": 1999}),
    ("1,000 shoes", "1000 of them", "en", {}),
    ("Bis 24. Dezember", "Schuhe", "de", {"ends": ["2026-12-24T18:00:00+01:00"]}),
    ("Bis 24. Dezember", "Bis 24.12. reduziert", "de", {}),
    ("Le 1er mai à 18h30", "Rendez-vous le 1 mai, 18:30", "fr", {}),
    ("Last chance", "The sale ends Friday.", "en", {}),
    ("Last chance", "Shoes", "en", {"sale": {"ends": "2026-12-24"}}),
    ("Letzte Chance", "Nur noch 3 übrig.", "de", {}),
    ("Last chance", "Until {{ data.ends_at }}", "en", None),
    ("Letzte Chance", "Shoes", "fr", {}),
    ("You have 3 unread messages", "From Ada", "en", {"unread": 3}),
    ("HTML and JSON parser released", "Hello", "en", {}),
    ("Re:Zero is back", "Hello", "en", {}),
    ("3 new shoes", "3 of them", "en", {}),
    ("Payment of $12.50 received", "We got $12.50.", "en", {}),
    ("Regen erwartet: Schirm mitnehmen", "Hello", "de", {}),
]


@pytest.mark.parametrize(("title", "body", "locale", "data"), FINE)
def test_what_is_borne_out_passes(title: str, body: str, locale: str, data: dict | None) -> None:
    assert found(title, body, locale, data) == {}


def test_a_mandatory_message_may_hurry() -> None:
    assert "urgency" in found("Urgent: change your password", data={})
    assert found("Urgent: change your password", data={}, mandatory=True) == {}


def test_wide_characters_take_two_columns_and_joined_ones_none() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "👩‍👩‍👧‍👦", "👍🏽", "❤️", "\u200b", "ｱ", "Ａ")] == [
        3, 4, 1, 2, 2, 2, 0, 1, 2,
    ]  # fmt: skip
    assert beyond("日本語", 4) == "語"


def test_a_finding_says_where_it_is_cut_and_what_would_be_right() -> None:
    [one] = lint(Subject(Said.plain("x" * 45), Said.plain("")), RULES)
    assert "45 columns" in one.message
    assert [each.name in one.message for each in SCREENS] == [each.roomiest and each.title.all < 45 for each in SCREENS]
    assert one.instead.startswith("at most 40 columns")


# --- whatever the text is --------------------------------------------------------------------------------------------

ANY_TEXT = st.text() | st.lists(
    st.sampled_from(["{{", "}}", "{% if user.a %}", "{% endif %}", "{{ user.a }}", "50", "%", "€", "1.", "/", ":", " ",
                     "Mai", "\u200d", "👩", "\ufe0f", "Re", "{", "}", "9" * 30, "٣", "½", "最終", "İ", "ß", "ﬁ"])
).map("".join)  # fmt: skip
LOCALES = st.sampled_from([None, "en", "de-AT", "fr", "es_MX", "ja", "zh-Hant-TW"])
DATA = st.dictionaries(
    st.text(),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists),
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT, ANY_TEXT, LOCALES, DATA)
def test_no_text_makes_a_rule_fail(title: str, body: str, locale: str | None, data: dict[str, Any]) -> None:
    for name, part in found(title, body, locale, data).items():
        assert name in RULES
        assert isinstance(part, str)


SAFE = {
    "en": "your order blue shoes with our new shop the parcel and coffee from garden walks along river",
    "de": "Ihre Bestellung blaue Schuhe mit unserem Laden das Paket und Kaffee vom Garten Wege am Fluss",
    "fr": "votre commande bleu avec notre boutique le colis et du jardin sur la route chemin rivière",
    "es": "su pedido azul con nuestra tienda el paquete y el jardín sobre la ruta camino río",
}
SAFE_TEXT = st.sampled_from(list(SAFE)).flatmap(
    lambda language: st.tuples(
        st.sampled_from([language, f"{language}-XX", None]),
        st.lists(st.sampled_from(SAFE[language].split()), min_size=1, max_size=3).map(" ".join),
        st.lists(st.sampled_from(SAFE[language].split()), max_size=8).map(" ".join),
    )
)


@settings(deadline=None)
@given(SAFE_TEXT)
def test_safe_words_are_left_alone(said: tuple[str | None, str, str]) -> None:
    locale, title, body = said
    assert found(title, body, locale, {}) == {}


@settings(deadline=None)
@given(st.sampled_from([(title, body, locale) for _, title, body, locale, _ in BAD]))
def test_a_region_or_another_spelling_of_the_locale_changes_nothing(case: tuple[str, str, str]) -> None:
    title, body, locale = case
    language = locale[:2]
    told = [found(title, body, form, {}) for form in (language, f"{language}-AT", f"{language.upper()}_at")]
    assert told[0] == told[1] == told[2]
