"""The form of the compose page: what somebody wrote, as a message and its audience."""

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from clarion.errors import FieldError, InvalidRequest
from clarion.model import Audience, Message

# A link may be a minijinja text; then what it renders to is looked at when the message is composed.
_LINK = re.compile(r"https?://\S+|.*\{[{%].*", re.IGNORECASE | re.DOTALL)
_LONGEST = {"title": 2_000, "body": 10_000, "url": 2_048}
_LONGEST_ID = 255
_MOST_PEOPLE = 10_000
AUDIENCES = ("everyone", "segment", "topic", "users")
_ONCE = re.compile(r"[0-9a-f]{32}")


class Written(NamedTuple):
    """A form as it was filled in. `once` is of the page that was loaded; `tried` is the `digest` that was looked at."""

    title: str = ""
    body: str = ""
    url: str = ""
    category: str = "general"
    to: str = "everyone"
    segment: str = ""
    topic: str = ""
    users: str = ""
    once: str = ""
    tried: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Written":
        """The fields that it has; others are passed over. Browsers send line breaks as CR LF."""
        told = {name: fields[name].replace("\r\n", "\n").strip() for name in cls._fields if name in fields}
        return cls(**told)

    @property
    def digest(self) -> str:
        """Changes with what is said and to whom."""
        said = (self.title, self.body, self.url, self.category, self.to, self._whom)
        return hashlib.blake2b("\0".join(said).encode(), digest_size=16).hexdigest()

    @property
    def id(self) -> str:
        """Of the notification: one form that is sent twice is one notification, another text is another one."""
        if _ONCE.fullmatch(self.once) is None:
            raise InvalidRequest("this form is not whole: load the page again")
        return hashlib.blake2b(f"{self.once}\0{self.digest}".encode(), digest_size=16).hexdigest()

    @property
    def people(self) -> list[str]:
        """User ids, one a line, each once."""
        return list(dict.fromkeys(line.strip() for line in self.users.splitlines() if line.strip()))

    @property
    def _whom(self) -> str:
        return {"segment": self.segment, "topic": self.topic, "users": self.users}.get(self.to, "")

    @property
    def message(self) -> Message:
        """What to say."""
        return Message(category=self.category, title=self.title, body=self.body or None, url=self.url or None)

    @property
    def audience(self) -> Audience:
        """To whom."""
        match self.to:
            case "users":
                return Audience(users=self.people)
            case "segment":
                return Audience(segment=self.segment)
            case "topic":
                return Audience(topic=self.topic)
        return Audience(everyone=True)

    def problems(self) -> list[FieldError]:
        """What is wrong with the form itself; what is wrong with the message is said by the journey."""
        found = [
            FieldError(name, f"has more than {longest} characters")
            for name, longest in _LONGEST.items()
            if len(getattr(self, name)) > longest
        ]
        if self.url and _LINK.fullmatch(self.url) is None:
            found.append(FieldError("url", "must begin with https:// or http://"))
        if self.to not in AUDIENCES:
            found.append(FieldError("to", f"must be one of {', '.join(AUDIENCES)}"))
        if self.to == "users":
            found += self._wrong_people()
        return found

    def _wrong_people(self) -> list[FieldError]:
        people = self.people
        if not people:
            return [FieldError("users", "name at least one user id, one in each line")]
        if len(people) > _MOST_PEOPLE:
            return [FieldError("users", f"takes at most {_MOST_PEOPLE} people; larger audiences go by the API")]
        long = next((at for at, one in enumerate(people, 1) if len(one) > _LONGEST_ID), None)
        return (
            []
            if long is None
            else [FieldError("users", f"the id in line {long} has more than {_LONGEST_ID} characters")]
        )
