"""Rules about what a text pretends: hurry, bait, answers and badges that are none, and words that were forgotten."""

import re
from collections.abc import Iterator

from clarion.intelligence.honesty.claims import Claim, claims, is_borne_out
from clarion.intelligence.honesty.lexicons import CLICKBAIT, URGENCY, fold, phrase_in
from clarion.intelligence.honesty.subject import Check, Found, Subject

_ENDS = re.compile(
    r"(?:^|[._])(?:ends?|ending|until|till|deadline|expir\w*|due|closes?|closing|date|day|time|at|on|hours?|minutes?|"
    r"stock|left|remaining|seats?|places?)(?:$|[._])"
)
_LEFT = re.compile(
    r"\d\s+(?:\w+\s+){0,2}(?:left|remaining|hours?|minutes?|days?|stunden?|minuten?|tagen?|ubrig|verfugbar|heures?|"
    r"jours?|restant\w*|horas?|minutos?|dias?|disponibles?)\b|(?:only|noch|reste(?:nt)?|quedan?|solo)\s+\d"
)
_ANSWER = re.compile(r"\s*(?:re|fwd?|aw|wg|antw|tr|rv)(?:\s?\[\d+\])?\s?(?::(?=[\s\ufffc]|$)|\uff1a)", re.IGNORECASE)
_BADGE = re.compile(
    r"^\W*(?:[(\[]\s*\d{1,4}\+?\s*[)\]]|[\U0001f534\U0001f514]\s*\d{1,4}\b)|(?<![\w-])\d{1,4}\+?\s+(?:"
    r"(?:unread|missed|pending|ungelesene|verpasste)\s+\w+|"
    r"(?:new|neue|nouveaux?|nouvelles?|nuev[oa]s?)\s+(?:messages?|notifications?|alerts?|comments?|mails?|e-?mails?|likes?|"
    r"followers?|requests?|nachricht(?:en)?|benachrichtigung(?:en)?|kommentare?|commentaires?|mensajes?|comentarios?)\b|"
    r"(?:unread|missed|ungelesen|notifications?|benachrichtigung(?:en)?|notificaci(?:on|ones)|"
    r"(?:messages?|mensajes?|nachricht(?:en)?)(?:\s+(?:non lus?|manques?|nuevos?|sin leer|perdid[oa]s))?)\b)",
)
_LEFTOVERS = re.compile(
    r"\{\s?[A-Za-z_][\w .-]{0,40}\s?\}|\$\{[^}]{0,40}\}|\{\{|\}\}|%[A-Z][A-Z_]{1,30}%|%%\w{1,30}%%|\*\|\w{1,30}\|\*"
    r"|\[(?:first|last|your|customer|insert|name|vorname|prenom|nombre)[\w .-]{0,30}\]"
    r"|(?<!\d)(?<!\d\s)%(?:s|d|@|\d\$[sd])(?!\w)|\blorem ipsum\b|\b(?:TODO|FIXME|TBD|XXX+)\b"
    r"|\b(?:undefined|NaN|\[object Object\])(?!\w)",
    re.ASCII,
)
_LOWER_LEFTOVERS = re.compile(
    r"\blorem ipsum\b|\[(?:first|last|your|customer|insert|vorname|prenom|nombre)[\w .-]{0,30}\]"
)
_TEST = re.compile(
    r"\W*(?:(?:this is )?(?:a )?test(?:ing)?(?:[ -]?(?:message|notification|push|title|nachricht|titel))?|"
    r"(?:essai|prueba|asdf\w*|foo|foo ?bar|title|titel|hello world|untitled))(?:\s*\d{1,6})?\W*",
)
_WHAT_BEARS_OUT = {
    "number": "a number",
    "percent": "a percentage",
    "currency": "an amount of money",
    "date": "a date or time",
}


def personalisation(subject: Subject) -> Iterator[Found]:
    """Expressions that have nothing to say about some people, who then get no message."""
    for field, said in subject.texts():
        for part in said.missing:
            yield Found(
                field,
                part,
                f"the {field} asks for {part}, and who has none gets no message, or one with a hole",
                f'{{{{ {part} | default("…", true) }}}}, or a condition: {{% if {part} is defined %}}',
            )


def urgency(subject: Subject) -> Iterator[Found]:
    """Titles that hurry people, with nothing that says until when."""
    phrase = phrase_in(subject.title.literal, URGENCY, subject.locale)
    if phrase is not None and not subject.may_hurry and not _is_pressing(subject):
        yield Found(
            "title",
            phrase,
            "the title hurries people, and neither the body nor the data says until when or how many",
            "name the deadline or what is left in the body, or leave the hurry out",
        )


def _is_pressing(subject: Subject) -> bool:
    """Whether something bears the hurry out: a moment in data, a date in the body, or that so many are left."""
    if any(_ENDS.search(name) for name in subject.title.names | subject.body.names):
        return True
    bodies = {subject.body.literal, subject.body.shown}
    stated = [claim for body in bodies for claim in claims(body, subject.locale)]
    if any(claim.kind == "date" for claim in stated) or any(_LEFT.search(fold(body).text) for body in bodies):
        return True
    return bool(subject.facts.known(subject.locale).moments)


def clickbait(subject: Subject) -> Iterator[Found]:
    """Titles that promise a wonder, so that people tap to see what it is."""
    phrase = phrase_in(subject.title.literal, CLICKBAIT, subject.locale)
    if phrase is not None:
        yield Found("title", phrase, "the title teases instead of telling", "say what it is; who cares for it will tap")


def unproven(kind: str) -> Check:
    """The rule about one kind of claim."""

    def check(subject: Subject) -> Iterator[Found]:
        for claim in _unproven(subject):
            if claim.kind == kind:
                yield Found(
                    "title",
                    claim.part,
                    f"the title states {_WHAT_BEARS_OUT[kind]}, {claim.part}, that neither the body nor the data has",
                    "say it in the body too, or take it from data",
                )

    return check


def _unproven(subject: Subject) -> list[Claim]:
    stated = claims(subject.title.literal, subject.locale)
    if not stated:
        return []
    bodies = {subject.body.literal, subject.body.shown}
    said = [claim for body in bodies for claim in claims(body, subject.locale)]
    facts = subject.facts.known(subject.locale)
    return [claim for claim in dict.fromkeys(stated) if not is_borne_out(claim, said, facts)]


def fake_reply(subject: Subject) -> Iterator[Found]:
    """Titles that look like an answer in a conversation that there never was."""
    found = _ANSWER.match(subject.title.literal)
    if found is not None:
        yield Found(
            "title", found[0].strip(), "the title looks like an answer or a forwarded message", "leave the prefix out"
        )


def fake_badge(subject: Subject) -> Iterator[Found]:
    """Titles that count messages which nobody counted. A count that data holds is true."""
    title = subject.title.literal
    folded = fold(title)
    found = _BADGE.search(folded.text)
    if found is None:
        return
    counted = [claim for claim in claims(found[0], subject.locale) if claim.kind == "number"]
    facts = subject.facts.known(subject.locale)
    if not counted or not all(is_borne_out(claim, [], facts) for claim in counted):
        part = folded.part(title, found)
        yield Found(
            "title",
            part,
            "the title counts messages, and the data does not",
            "take the number from data, or leave it out",
        )


def leftover(subject: Subject) -> Iterator[Found]:
    """Words that whoever wrote the text meant to replace."""
    for field, said in subject.texts():
        found = _LEFTOVERS.search(said.literal) or _LOWER_LEFTOVERS.search(said.literal.lower())
        part = None if found is None else found[0]
        if part is None and field == "title" and _TEST.fullmatch(said.literal.lower()):
            part = said.literal.strip()
        if part is not None:
            yield Found(
                field,
                part,
                f"the {field} has something that was to be replaced",
                "replace it; expressions are written as {{ data.name }}",
            )
