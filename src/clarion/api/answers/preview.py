"""How a template, or a message, looks to somebody: its texts whole, and as screens cut them."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer
from clarion.intelligence.screens import Cut
from clarion.journey.texts.preview import Preview, There, Wording


class CutAnswer(Answer, frozen=True, kw_only=True):
    """A text on one screen, line by line. `cut`: there was more, and the last line ends in an ellipsis."""

    lines: list[str]
    cut: bool

    @classmethod
    def of(cls, shown: Cut) -> "CutAnswer":
        """As the API shows it."""
        return cls(lines=shown.lines, cut=shown.is_cut)


class ScreenAnswer(Answer, frozen=True, kw_only=True):
    """One place where it is shown. `columns`: of a line of the title, and of the body."""

    screen: Annotated[str, Meta(examples=["iPhone, lock screen"])]
    columns: tuple[int, int]
    title: CutAnswer
    body: CutAnswer


class PlatformAnswer(Answer, frozen=True, kw_only=True):
    """On one platform: the whole texts, and its screens."""

    title: str
    body: str
    url: str | None
    screens: list[ScreenAnswer]

    @classmethod
    def of(cls, there: There) -> "PlatformAnswer":
        """As the API shows it."""
        return cls(
            title=there.title,
            body=there.body,
            url=there.url,
            screens=[
                ScreenAnswer(
                    screen=each.screen.name,
                    columns=(each.screen.title.columns, each.screen.body.columns),
                    title=CutAnswer.of(each.title),
                    body=CutAnswer.of(each.body),
                )
                for each in there.views
            ],
        )


class PreviewAnswer(Answer, frozen=True, kw_only=True):
    """By platform: iphone, android, chrome, firefox. `locale`: of the words that were chosen."""

    template: str
    version: int
    locale: str
    platforms: dict[str, PlatformAnswer]

    @classmethod
    def of(cls, preview: Preview) -> "PreviewAnswer":
        """As the API shows it."""
        return cls(
            template=preview.template.name,
            version=preview.template.version,
            locale=preview.locale,
            platforms={name: PlatformAnswer.of(there) for name, there in preview.platforms.items()},
        )


class WordingAnswer(Answer, frozen=True, kw_only=True):
    """A message in one wording."""

    key: Annotated[str | None, Meta(description="Of the variant; null where there are none.")]
    locale: Annotated[str | None, Meta(description="Of the words of a template; null where none is used.")]
    platforms: dict[str, PlatformAnswer]


class WordingsAnswer(Answer, frozen=True, kw_only=True):
    """A message in each of its variants, by platform: iphone, android, chrome, firefox."""

    variants: list[WordingAnswer]

    @classmethod
    def of(cls, wordings: Sequence[Wording]) -> "WordingsAnswer":
        """As the API shows it."""
        return cls(
            variants=[
                WordingAnswer(
                    key=one.key,
                    locale=one.locale,
                    platforms={name: PlatformAnswer.of(there) for name, there in one.platforms.items()},
                )
                for one in wordings
            ]
        )
