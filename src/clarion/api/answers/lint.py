"""What the rules of title honesty say, and definitions that are answered with it."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer
from clarion.intelligence.honesty import Finding
from clarion.model import Content, Template


class FindingAnswer(Answer, frozen=True, kw_only=True):
    """One thing that a rule found. `part` offends, `instead` would be right; `blocks`: such a message is refused."""

    rule: str
    severity: Annotated[str, Meta(extra_json_schema={"enum": ["error", "warning"]})]
    blocks: bool
    field: str
    locale: str | None
    part: str
    message: str
    instead: str

    @classmethod
    def of(cls, finding: Finding) -> "FindingAnswer":
        """As the API shows it."""
        return cls(**finding._asdict())


class LintAnswer(Answer, frozen=True, kw_only=True):
    """What all rules say, the project's own `off` left out."""

    findings: list[FindingAnswer]

    @classmethod
    def of(cls, findings: list[Finding]) -> "LintAnswer":
        """As the API shows it."""
        return cls(findings=[FindingAnswer.of(finding) for finding in findings])


class TemplateAnswer(Answer, frozen=True, kw_only=True):
    """A template, with what the rules of title honesty say of it."""

    name: str
    default_locale: str
    locales: dict[str, Content]
    version: Annotated[int, Meta(description="Counts from 1.")]
    warnings: list[FindingAnswer]

    @classmethod
    def of(cls, template: Template, warnings: list[Finding]) -> "TemplateAnswer":
        """As the API shows it."""
        return cls(
            name=template.name,
            default_locale=template.default_locale,
            locales=template.locales,
            version=template.version,
            warnings=[FindingAnswer.of(finding) for finding in warnings],
        )
