"""People, their phones and what was sent, as a plain book has them."""

from dataclasses import dataclass, field
from typing import Any

from clarion.model import CategoryClass, Key, Millis, Notification, Permission, ProjectSettings, QuietHours


@dataclass(frozen=True)
class Kind:
    """A category, as far as the rules ask."""

    name: str
    class_: CategoryClass
    quiet: QuietHours | str | None = None


@dataclass(eq=False)
class Person:
    """Everything that is known of somebody. `into`: whom they turned out to be."""

    key: Key
    user_id: str
    ledger: list[tuple[int, str, Millis, bool]] = field(default_factory=list)
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

    def word(self, category: str) -> bool | None:
        return next((granted for _, about, _, granted in reversed(self.ledger) if about == category), None)


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
    """A notification that was accepted, and what became of it later."""

    notification: Notification
    named: list[Person] | None
    there: list[Person]
    cancelled: bool = False
    fired_at: Millis | None = None

    @property
    def message(self) -> Any:
        return self.notification.message

    @property
    def armed(self) -> bool:
        return self.notification.armed_until is not None


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
