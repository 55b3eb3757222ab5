"""What every simulated push service is: a server, its rules, a script and the count of what was shown."""

import abc
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NamedTuple, Self, TypedDict

import msgspec

from clarion.model import Millis
from clarion.testing.simulators.certificates import Authority
from clarion.testing.simulators.codes import Codes
from clarion.testing.simulators.control import Control
from clarion.testing.simulators.exchange import Drop, GoAway, Peer, Reply, Request, Reset, Respond, Wait
from clarion.testing.simulators.journal import Journal
from clarion.testing.simulators.script import (
    Accept,
    AnyAnswer,
    Break,
    Delay,
    HangUp,
    Leave,
    Raw,
    Refuse,
    Script,
    Stall,
)
from clarion.testing.simulators.server import Server
from clarion.testing.simulators.shown import KEEP, Keep, Message, Shown


class Passed(msgspec.Struct, frozen=True):
    """The rules have nothing against the request. `message` is None when it is only a trial run."""

    token: str
    message: Message | None
    accepted: Respond


class Settled(NamedTuple):
    """The rules have the last word. `label` is how it is counted, such as "400 BadTopic"."""

    label: str
    response: Respond


class Common(TypedDict, total=False):
    """What every simulator takes; see `Simulator`."""

    folder: Path | None
    state: Path | None
    host: str
    port: int
    script: Script | None
    quota: int | None
    now: Callable[[], Millis] | None
    last: int


class Simulator(abc.ABC):
    """Serves while it is entered with `async with`.

    `folder` keeps certificates and credentials over restarts, `state` is the file that keeps counts; both live only as
    long as the simulator when left out. `now` is a clock of the caller's in milliseconds: with one, delayed answers
    leave when `tick` finds them due. `quota` is how many messages a minute are taken. `last` is how many are kept.
    """

    codes: ClassVar[Codes]
    """The answers that tokens can ask for."""
    reasons: ClassVar[Collection[str]]
    """Every reason that the service has for refusing."""

    def __init__(
        self,
        keep: Keep,
        *,
        folder: Path | None = None,
        state: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        script: Script | None = None,
        quota: int | None = None,
        now: Callable[[], Millis] | None = None,
        last: int = KEEP,
    ) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="clarion-simulator-")
        self.folder = Path(self._temporary.name) if self._temporary else Path(str(folder))
        self.authority = Authority(self.folder)
        self.host = host
        self.port = port
        self.script = script or Script()
        self.script.check(self.reasons)
        self.quota = Quota(quota)
        self.answers: Counter[str] = Counter()
        """How often each answer was given: the status, and the reason if there is one."""
        self.requests = 0
        self._journal = Journal(state) if state else None
        self.shown = Shown(keep, self._journal, last)
        self._delayed: list[tuple[Millis, Request, Respond]] = []
        self._own_clock = now is not None
        self._now = now or _system_now
        self._server = Server(self, self.authority.server_context(host))
        self._control = Control(self)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that clients have to trust."""
        return self.authority.ca_file

    @property
    def peers(self) -> set[Peer]:
        """The connections that are open."""
        return self._server.peers

    async def __aenter__(self) -> Self:
        self.port = await self._server.open(self.host, self.port)
        self.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()
        if self._journal is not None:
            self._journal.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def prepare(self) -> None:  # noqa: B027 - not every service has something
        """What can be done only when the port is known."""

    @abc.abstractmethod
    def opened(self, peer: Peer) -> int:
        """See `Service.opened`."""

    @abc.abstractmethod
    def check(self, request: Request, now: Millis) -> "Passed | Settled":
        """What the service's rules say, before the script is asked."""

    @abc.abstractmethod
    def refusal(self, request: Request, answer: Refuse, now: Millis) -> Respond:
        """One of `reasons` in the service's own form."""

    def goodbye(self, reason: str | None) -> bytes:
        """What GOAWAY carries."""
        return b"" if reason is None else reason.encode()

    def answer(self, request: Request) -> Reply:
        if request.path.startswith(Control.PATH):
            return self._control.respond(request)
        now = self._now()
        self.requests += 1
        verdict = self.check(request, now)
        if isinstance(verdict, Settled):
            return self._counted(verdict.label, verdict.response)
        return self._follow(request, verdict, self.script.take(verdict.token, self.codes.read(verdict.token)), now)

    def settle(self) -> None:
        # What is accepted is in the journal before the sender learns of it.
        self.shown.write()

    def go_away(self, reason: str | None = None, *, spare: Peer | None = None) -> None:
        """GOAWAY on every connection but `spare`; what was asked before is still answered."""
        for peer in self.peers - {spare}:
            peer.go_away(self.goodbye(reason))
            peer.flush()

    def hang_up(self, *, spare: Peer | None = None) -> None:
        """Drop every connection but `spare`."""
        for peer in self.peers - {spare}:
            peer.drop()
            peer.flush()

    def forget(self) -> None:
        """All counts begin at zero; the script goes on."""
        self.shown.forget()
        self.answers.clear()
        self.requests = 0

    def tick(self) -> None:
        """Send the delayed answers that are due by the clock that was handed in."""
        now = self._now()
        due = [entry for entry in self._delayed if entry[0] <= now]
        self._delayed = [entry for entry in self._delayed if entry[0] > now]
        for _, request, response in due:
            _answer_late(request, response)

    def _follow(self, request: Request, passed: Passed, answer: AnyAnswer, now: Millis) -> Reply:
        """The reply that the script's answer asks for."""
        if getattr(answer, "accepted", isinstance(answer, Accept | Delay)) and passed.message is not None:
            self.shown.accept(passed.message)
        if isinstance(answer, Refuse):
            response = self.refusal(request, answer, now)
            return self._counted(f"{response.status} {answer.reason}", response)
        reply: Reply
        match answer:
            case Accept():
                reply = passed.accepted
            case Raw():
                reply = _raw(answer)
            case Leave(reason=reason, accepted=accepted):
                reply = GoAway(self.goodbye(reason), passed.accepted if accepted else None)
            case HangUp():
                reply = Drop()
            case Break(code=code):
                reply = Reset(code)
            case Delay(ms=ms):
                reply = self._delay(request, passed.accepted, now + ms)
            case Stall():
                reply = Wait()
        return self._counted(f"{reply.status}" if isinstance(reply, Respond) else type(answer).__name__.lower(), reply)

    def _counted(self, label: str, reply: Reply) -> Reply:
        self.answers[label] += 1
        return reply

    def _delay(self, request: Request, response: Respond, due: Millis) -> Wait:
        if self._own_clock:
            self._delayed.append((due, request, response))
        else:
            loop = asyncio.get_running_loop()
            loop.call_later((due - self._now()) / 1000, _answer_late, request, response)
        return Wait()


class Quota:
    """Messages a minute, by the minutes of the clock; `limit` None is without end."""

    def __init__(self, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise ValueError("quota: 1 or more messages a minute")
        self.limit = limit
        self._minute = -1
        self._used: Counter[str] = Counter()

    def take(self, whose: str, now: Millis) -> int:
        """0 when there is room, which is then taken; else in how many seconds there will be."""
        if self.limit is None:
            return 0
        minute, into = divmod(now, 60_000)
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        if self._used[whose] >= self.limit:
            return max(1, (60_000 - into) // 1000)
        self._used[whose] += 1
        return 0


def _answer_late(request: Request, response: Respond) -> None:
    if request.peer.awaits(request.stream):
        request.peer.reply(request.stream, response)
        request.peer.flush()


def _raw(answer: Raw) -> Respond:
    headers = [("content-type", answer.content_type)]
    if answer.retry_after is not None:
        headers.append(("retry-after", str(answer.retry_after)))
    return Respond(answer.status, tuple(headers), answer.body.encode())


def _system_now() -> Millis:
    return time.time_ns() // 1_000_000
