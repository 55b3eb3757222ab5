"""Words that hurry and words that bait, by language; and how they are found whatever their case and accents."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_Lexicon = dict[str, tuple[str, ...]]

URGENCY: _Lexicon = {
    "en": (
        "last chance", "act now", "act fast", "hurry", "hurry up", "limited time", "ending soon", "ends soon",
        "expires soon", "expiring soon", "don't miss out", "don't wait", "final hours", "final call", "last call",
        "before it's too late", "now or never", "while supplies last", "while stocks last", "selling fast",
        "almost gone", "going fast", "only a few left", "running out", "urgent", "today only",
    ),
    "de": (
        "letzte chance", "jetzt handeln", "jetzt zuschlagen", "schnell zuschlagen", "nur noch heute", "nur heute",
        "nur kurze zeit", "nur für kurze zeit", "schnell sein", "beeil dich", "beeilen sie sich", "endet bald",
        "läuft bald ab", "solange der vorrat reicht", "nicht verpassen", "jetzt oder nie", "fast ausverkauft",
        "fast weg", "letzter aufruf", "letzte stunden", "bevor es zu spät ist", "dringend", "sofort handeln",
    ),
    "fr": (
        "dernière chance", "agissez maintenant", "agissez vite", "dépêchez-vous", "dépêche-toi", "faites vite",
        "offre limitée", "durée limitée", "temps limité", "se termine bientôt", "expire bientôt", "ne manquez pas",
        "ne ratez pas", "ne rate pas", "dernières heures", "maintenant ou jamais", "presque épuisé",
        "jusqu'à épuisement des stocks", "avant qu'il ne soit trop tard", "dernier appel", "urgent",
        "aujourd'hui seulement",
    ),
    "es": (
        "última oportunidad", "actúa ahora", "actúe ahora", "date prisa", "dese prisa", "apresúrate",
        "tiempo limitado", "termina pronto", "se acaba pronto", "no te lo pierdas", "no se lo pierda",
        "últimas horas", "ahora o nunca", "hasta agotar existencias", "casi agotado", "se agota", "última llamada",
        "antes de que sea tarde", "urgente", "solo hoy", "sólo hoy",
    ),
}  # fmt: skip

CLICKBAIT: _Lexicon = {
    "en": (
        "you won't believe", "you will not believe", "you'll never guess", "will shock you", "shocking",
        "one weird trick", "this one trick", "this simple trick", "what happens next", "what happened next",
        "doctors hate", "mind-blowing", "mind blowing", "jaw-dropping", "blow your mind", "change your life",
        "nobody tells you", "they don't want you to know", "wait till you see", "gone wrong",
    ),
    "de": (
        "du wirst nicht glauben", "du wirst es nicht glauben", "sie werden nicht glauben", "das glaubst du nicht",
        "das glaubst du nie", "unglaublich aber wahr", "schockierend", "schock", "dieser eine trick",
        "dieser einfache trick", "was dann passiert", "was dann geschah", "was danach geschah", "haut dich um",
        "verändert dein leben", "niemand sagt dir", "ärzte hassen",
    ),
    "fr": (
        "vous n'allez pas y croire", "vous n'allez pas le croire", "tu ne vas pas y croire", "vous ne croirez",
        "incroyable mais vrai", "choquant", "cette astuce", "ce qui se passe ensuite", "ce qui s'est passé ensuite",
        "la suite va vous", "les médecins détestent", "changer votre vie", "personne ne vous dit",
    ),
    "es": (
        "no vas a creer", "no te lo vas a creer", "no creerás", "increíble pero cierto", "impactante",
        "este truco", "este sencillo truco", "lo que pasa después", "lo que pasó después", "te dejará sin palabras",
        "los médicos odian", "cambiará tu vida", "nadie te cuenta",
    ),
}  # fmt: skip

LETTER = r"[^\W\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""A letter or digit that makes one word with its neighbour; in scripts without spaces, or with particles, none does."""
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")


class Folded(NamedTuple):
    """A text without case, accents and invisible characters; `places`: where each character was."""

    text: str
    places: Sequence[int]

    def part(self, whole: str, found: re.Match[str]) -> str:
        """What was found, as it was written."""
        return whole[self.places[found.start()] : self.places[found.end() - 1] + 1]


@lru_cache(maxsize=256)
def fold(text: str) -> Folded:
    """See `Folded`."""
    if text.isascii():
        return Folded(text.lower().replace("`", "'"), range(len(text)))
    letters, places = list[str](), list[int]()
    for at, each in enumerate(text.translate(_APOSTROPHES)):
        for letter in unicodedata.normalize("NFKD", each.casefold()):
            if unicodedata.category(letter) not in ("Mn", "Me", "Cf"):
                letters.append(letter)
                places.append(at)
    return Folded("".join(letters), places)


def languages(locale: str | None) -> tuple[str, ...]:
    """Whose words to look for: English is used everywhere; where nobody said which language it is, all."""
    if locale is None:
        return tuple(URGENCY)
    own = re.split(r"[-_]", locale.lower(), maxsplit=1)[0]
    return ("en", own) if own in URGENCY and own != "en" else ("en",)


@lru_cache(maxsize=32)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    folded = sorted({fold(phrase).text for phrase in phrases}, key=lambda phrase: (-len(phrase), phrase))
    any_of = "|".join(re.escape(phrase).replace(r"\ ", r"\s{1,8}") for phrase in folded)
    return re.compile(rf"(?<!{LETTER})(?:{any_of})(?!{LETTER})")


def phrase_in(text: str, lexicon: _Lexicon, locale: str | None) -> str | None:
    """The first phrase of a lexicon that stands in a text, as it is written there."""
    folded = fold(text)
    phrases = tuple(phrase for language in languages(locale) for phrase in lexicon[language])
    found = _pattern(phrases).search(folded.text)
    return None if found is None else folded.part(text, found)
