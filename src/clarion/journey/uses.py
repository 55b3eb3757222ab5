"""What automations, campaigns and digests name, so that nothing goes away which they still need."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from clarion.journey.automations import flow
from clarion.journey.segments.lookup import walk
from clarion.journey.texts.wordings import every
from clarion.model import Automation, Campaign, CampaignState, Category, Message, Rule
from clarion.model import segments as rules

AT_WORK = frozenset({CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED})
"""What a campaign in one of these states names is needed; a draft is checked when it is started."""


class Kind(StrEnum):
    """What can be named."""

    CATEGORY = "category"
    SEGMENT = "segment"
    TEMPLATE = "template"
    TOPIC = "topic"


class Named(NamedTuple):
    """Something of a project by its name."""

    kind: Kind
    name: str


def of_automation(automation: Automation) -> set[Named]:
    """What its start, its rules and its messages name."""
    told = [step.notification for _, step in flow.sends(automation)]
    if automation.notification is not None:
        told.append(automation.notification)
    found = {named for message in told for named in _of_message(message)}
    found |= {named for _, rule in flow.rules(automation) for named in _of_rule(rule)}
    if automation.on.segment is not None:
        found.add(Named(Kind.SEGMENT, automation.on.segment))
    return found


def of_campaign(campaign: Campaign) -> set[Named]:
    """What its audience and its message name."""
    found = set(_of_message(campaign.notification))
    for kind, name in ((Kind.SEGMENT, campaign.to.segment), (Kind.TOPIC, campaign.to.topic)):
        if name is not None:
            found.add(Named(kind, name))
    return found


def of_category(category: Category) -> set[Named]:
    """What its digest names."""
    digest = category.digest
    return set() if digest is None or digest.template is None else {Named(Kind.TEMPLATE, digest.template)}


def users(
    named: Named, automations: Iterable[Automation], campaigns: Iterable[Campaign], categories: Iterable[Category]
) -> list[str]:
    """Who would miss it, in words."""
    return [
        *(f"the digest of the category {one.name}" for one in categories if named in of_category(one)),
        *(f"the automation {one.name}" for one in automations if named in of_automation(one)),
        *(f"the campaign {one.name}" for one in campaigns if named in of_campaign(one)),
    ]


def _of_message(message: Message) -> Iterator[Named]:
    yield Named(Kind.CATEGORY, message.category)
    for wording in every(message):
        if wording.template is not None and wording.template_version is None:  # versions outlive their template
            yield Named(Kind.TEMPLATE, wording.template)


def _of_rule(rule: Rule) -> Iterator[Named]:
    for _, part in walk(rule, ""):
        match part:
            case rules.InSegment():
                yield Named(Kind.SEGMENT, part.segment)
            case rules.Subscribed():
                yield Named(Kind.TOPIC, part.topic)
            case rules.Consented():
                yield Named(Kind.CATEGORY, part.category)
