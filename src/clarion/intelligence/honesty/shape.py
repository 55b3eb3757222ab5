"""Rules about the shape of a text: that there is one, that it fits, and that it does not shout."""

import re
from collections.abc import Iterator

from clarion.intelligence.honesty.subject import BLANK, Found, Subject
from clarion.intelligence.screens import SCREENS
from clarion.intelligence.widths import beyond, emoji, is_blank, width

MOST_EMOJI = 2
MOST_CALLS = 2
MOST_CAPITALS = 0.5
MOST_BESIDE_LOUD = 0.4
"""Where two words are in capitals; HTML and JSON are names in a longer title."""
FEWEST_LETTERS = 6
"""Under these many letters, capitals are a name: NASA, SALE."""
SHOUTED_LENGTH = 4

_SAME_MARKS = re.compile(r"([!?¡¿\uff01\uff1f$€£*~])\1+|[!?\uff01\uff1f]{3,}|…{2,}|\.{4,}|[\u203c\u2047-\u2049]+")
_CALLS = re.compile(r"[!\uff01]")


def title_empty(subject: Subject) -> Iterator[Found]:
    """A title of which nothing is to be seen, for all or for those of whom nothing is known."""
    title = subject.title
    if is_blank(title.shown):
        yield Found("title", title.shown, "the title is empty", "say in a few words what happened")
    elif title.least is not None and is_blank(title.least):
        yield Found(
            "title", "", "the title is empty for people of whom nothing is known", "give its expressions a default"
        )


def length(subject: Subject) -> Iterator[Found]:
    """A text that screens cut."""
    for field, said in subject.texts():
        text = said.shown.strip()
        size = width(text)
        rooms = {each.name: each.title if field == "title" else each.body for each in SCREENS if each.roomiest}
        cut = {name: room.all for name, room in rooms.items() if size > room.all}
        if cut:
            shortest = min(cut.values())
            where = ", ".join(f"{name} (shows {limit})" for name, limit in cut.items())
            yield Found(
                field,
                beyond(text, shortest),
                f"the {field} is {size} columns wide and is cut on {where}",
                f"at most {shortest} columns, or what matters within them",
            )


def capitals(subject: Subject) -> Iterator[Found]:
    """Titles in capitals."""
    text = subject.title.shown
    cased = [each for each in text if each.isupper() or each.islower()]
    loud = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) >= SHOUTED_LENGTH and word.isupper()]
    share = sum(each.isupper() for each in cased) / len(cased) if cased else 0
    if (len(cased) >= FEWEST_LETTERS and share > MOST_CAPITALS) or (len(loud) > 1 and share > MOST_BESIDE_LOUD):
        yield Found(
            "title",
            " ".join(loud) or text,
            f"{round(share * 100)} percent of the title's letters are capitals, which reads as shouting",
            "write it as a sentence",
        )


def marks(subject: Subject) -> Iterator[Found]:
    """Marks that are repeated."""
    for field, said in subject.texts():
        text = said.shown.replace(BLANK, "x")
        found = _SAME_MARKS.search(text)
        if found is not None:
            yield Found(field, found[0], f"the {field} repeats its marks", "one mark is enough")
        elif field == "title" and len(_CALLS.findall(text)) > MOST_CALLS:
            yield Found(field, "!", "the title calls out more than twice", "one exclamation mark, or none")


def too_many_emoji(subject: Subject) -> Iterator[Found]:
    """More emoji than words can bear."""
    found = emoji(subject.title.shown)
    if len(found) > MOST_EMOJI:
        yield Found("title", "".join(found), f"the title has {len(found)} emoji", f"at most {MOST_EMOJI}")
