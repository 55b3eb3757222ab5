"""People, their phones and what was sent, as a plain book has them."""

from dataclasses import dataclass, field
from typing import Any

from clarion.model import (
    CategoryClass,
    Digest,
    Key,
    Millis,
    Notification,
    Permission,
    ProjectSettings,
    QuietHours,
    UpdateKind,
)


@dataclass(frozen=True)
class Kind:
    """A category, as far as the rules ask."""

    name: str
    class_: CategoryClass
    quiet: QuietHours | str | None = None
    digest: Digest | None = None
    channels: tuple[str, ...] = ("push",)

    @property
    def mandatory(self) -> bool:
        return self.class_ is CategoryClass.MANDATORY


About = tuple[str, str]
"""What somebody says yes or no to: a category and a channel."""


@dataclass(eq=False)
class Person:
    """Everything that is known of somebody. `into`: whom they turned out to be."""

    key: Key
    user_id: str
    ledger: list[tuple[int, About, Millis, bool]] = field(default_factory=list)
    told_zone: str | None = None
    zones: list[tuple[Millis, str | None]] = field(default_factory=list)
    quiet: QuietHours | None = None
    paused_until: Millis | None = None
    is_open: list[tuple[Millis, bool]] = field(default_factory=list)
    paid: list[Millis] = field(default_factory=list)
    into: "Person | None" = None
    left_at: Millis | None = None
    rest_changed_at: Millis = 0

    @property
    def present(self) -> "Person":
        return self if self.into is None else self.into.present

    @property
    def gone(self) -> bool:
        return self.present.left_at is not None

    def at(self, moment: Millis) -> "Person":
        """Whom they were known to be then."""
        return self if self.into is None or self.left_at is None or self.left_at > moment else self.into.at(moment)

    def zone_at(self, moment: Millis) -> str | None:
        return next((zone for since, zone in reversed(self.zones) if since <= moment), None)

    def word(self, category: str, channel: str) -> bool | None:
        lines = (granted for _, about, _, granted in reversed(self.ledger) if about == (category, channel))
        return next(lines, None)


@dataclass(eq=False)
class Phone:
    key: Key
    address: str
    owner: Person
    permission: Permission
    active: bool
    zone: str | None
    registered_at: Millis
    told: tuple[Any, ...] = ()


@dataclass(eq=False)
class Told:
    """A notification that was accepted, or made of others, and what became of it later.

    `items`: what it stands for, if it is a digest. `family`: the one that was told first, and all that changed it.
    """

    notification: Notification
    named: list[Person] | None
    there: list[Person]
    items: list["Told"] = field(default_factory=list)
    family: list["Told"] = field(default_factory=list)
    called_off: bool = False
    paused: bool = False
    fired_at: Millis | None = None

    def __post_init__(self) -> None:
        self.family.append(self)

    @property
    def message(self) -> Any:
        return self.notification.message

    @property
    def armed(self) -> bool:
        return self.notification.armed_until is not None

    @property
    def waits_for_fire(self) -> bool:
        return self.armed and self.fired_at is None

    @property
    def cancelled(self) -> bool:
        """Nothing is left of what it stands for, or of what it would be seen for."""
        return self.called_off or (bool(self.items) and all(item.cancelled for item in self.items))

    @property
    def newest(self) -> bool:
        return self.family[-1] is self

    @property
    def updates(self) -> bool:
        return self.family[0] is not self

    @property
    def withdraws(self) -> bool:
        update = self.notification.update
        return update is not None and update.kind is UpdateKind.WITHDRAW

    @property
    def content(self) -> list[tuple[str, Millis]]:
        """What it says that must not be said again, and for how long."""
        own = self.message.content_key
        said = [] if own is None else [(own, self.message.content_window * 1000)]
        return said + [one for item in self.items for one in item.content]


@dataclass(frozen=True)
class Sent:
    """A message that a provider took; `place`: when it was decided, or fired."""

    told: Told
    person: Person
    device: Key
    place: Millis
    at: Millis


@dataclass
class Laws:
    project_id: str
    settings: ProjectSettings
    kinds: dict[str, Kind]
