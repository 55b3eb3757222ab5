"""The project, its keys and definitions, and what an SDK sees of them."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.permission import Preference
from clarion.journey.texts import honesty
from clarion.model import ApiKey, Automation, Cap, Category, CategoryClass, Partial, Project, QuietHours, Template


class ProjectAnswer(Answer, frozen=True, kw_only=True):
    """The project."""

    id: str
    name: str
    allowed_origins: list[str]
    identity: str
    identity_secret_set: bool
    default_timezone: str
    marketing_consent: str
    allow_plain_users: bool
    mandatory_can_be_switched_off: bool
    caps: list[Cap]
    lint: dict[str, Annotated[str, Meta(extra_json_schema={"enum": list(honesty.LEVELS)})]]
    quiet_hours: QuietHours | None
    quiet_hours_spread_s: int
    missing_zone: Annotated[str, Meta(extra_json_schema={"enum": ["default", "hold_quiet"]})]
    event_days: int | None
    holdout_percent: float
    vapid_public_key: str
    created_at: Told

    @classmethod
    def of(cls, project: Project) -> "ProjectAnswer":
        """As the API shows it."""
        settings = project.settings
        return cls(
            id=project.id,
            name=project.name,
            identity_secret_set=project.identity_key is not None,
            vapid_public_key=project.vapid_public_key,
            created_at=told(project.created_at),
            **{name: getattr(settings, name) for name in settings.__struct_fields__}
            | {"lint": honesty.levels(settings)},
        )


class KeyAnswer(Answer, frozen=True, kw_only=True):
    """A key, without its text; `hint` is its last four characters."""

    id: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["server", "public"]})]
    name: str
    scopes: list[str]
    hint: str
    created_at: Told
    revoked_at: Told | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyAnswer":
        """As the API shows it."""
        return cls(
            id=key.id,
            kind=key.kind,
            name=key.name,
            scopes=key.scopes,
            hint=key.hint,
            created_at=told(key.created_at),
            revoked_at=told_or_none(key.revoked_at),
        )


class NewKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """A new key, with its text for the only time."""

    key: str


class SdkCategory(Answer, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A category as a prompt shows it."""

    name: str
    title: str
    description: str
    class_: CategoryClass
    default: bool
    channels: list[str]
    locked: bool

    @classmethod
    def of(cls, preference: Preference) -> "SdkCategory":
        """As somebody sees it who has said nothing yet."""
        return cls(
            name=preference.category,
            title=preference.title,
            description=preference.description,
            class_=preference.class_,
            default=any(preference.channels.values()),
            channels=list(preference.channels),
            locked=preference.locked,
        )


class SdkConfig(Answer, frozen=True, kw_only=True):
    """What an SDK needs to know."""

    project: str
    vapid_public_key: str
    categories: list[SdkCategory]
    push_url: str
    receipts_url: str
    plain_users: bool


class CategoryList(Listing, frozen=True, kw_only=True):
    """Categories by name."""

    items: list[Category]


class TemplateList(Listing, frozen=True, kw_only=True):
    """Templates by name."""

    items: list[Template]


class PartialList(Listing, frozen=True, kw_only=True):
    """Partials by name."""

    items: list[Partial]


class AutomationList(Listing, frozen=True, kw_only=True):
    """Automations by name."""

    items: list[Automation]


class KeyList(Listing, frozen=True, kw_only=True):
    """Keys, oldest first, revoked ones too."""

    items: list[KeyAnswer]
