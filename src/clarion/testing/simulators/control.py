"""`/simulator`: counts to look at and answers to set, over HTTP, for who runs the simulator as a process of its own."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from clarion.testing.simulators.exchange import Request, Respond
from clarion.testing.simulators.script import Leave, Script, check

if TYPE_CHECKING:
    from clarion.testing.simulators.simulator import Simulator

_LAST: Final = 100


class _Asked(Exception):
    """The request is wrong; the message says what would be right."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = _json({"error": message}, status)


class _Leaving(msgspec.Struct, forbid_unknown_fields=True):
    reason: str | None = None


class Control:
    """Answers what is asked below `PATH`.

    - `GET /simulator`: all counts
    - `GET /simulator/messages?last=100`: the newest messages, with headers and payload
    - `GET`, `POST /simulator/devices/{token}`, `…/off`, `…/on`: what a device shows; switch it off and on again
    - `PUT /simulator/script`, `DELETE`: set answers for tokens (see `Script.read`), forget them all
    - `POST /simulator/goaway` with `{"reason": …}`, `POST /simulator/hangup`: on every connection but the one that asks
    - `DELETE /simulator/counts`: begin at zero
    """

    PATH = "/simulator"

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    def respond(self, request: Request) -> Respond:
        """The response, which is always JSON."""
        url = urlsplit(request.path)
        parts = [unquote(part) for part in url.path.removeprefix(self.PATH).split("/") if part]
        try:
            return _json(self._answer(request, parts, parse_qs(url.query)))
        except _Asked as asked:
            return asked.response

    def _answer(self, request: Request, parts: list[str], query: dict[str, list[str]]) -> Any:
        simulator = self._simulator
        match request.method, parts:
            case "GET", []:
                return counts(simulator)
            case "GET", ["messages"]:
                return {"messages": list(simulator.shown.messages)[-_last(query) :]}
            case "GET", ["devices", token]:
                return simulator.shown.on(token).told()
            case "POST", ["devices", token, "off" | "on" as way]:
                (simulator.shown.switch_off if way == "off" else simulator.shown.switch_on)(token)
                return simulator.shown.on(token).told()
            case "PUT", ["script"]:
                return self._set(request.body)
            case "DELETE", ["script"]:
                simulator.script.clear()
            case "POST", ["goaway"]:
                self._leave(request)
            case "POST", ["hangup"]:
                simulator.hang_up(spare=request.peer)
            case "DELETE", ["counts"]:
                simulator.forget()
            case _:
                raise _Asked(404, f"There is no {request.method} {self.PATH}/{'/'.join(parts)}")
        return {}

    def _leave(self, request: Request) -> None:
        simulator = self._simulator
        try:
            reason = msgspec.json.decode(request.body or b"{}", type=_Leaving).reason
            check("goaway", Leave(reason=reason), simulator.reasons)
        except ValueError as error:
            raise _Asked(400, str(error)) from None
        simulator.go_away(reason, spare=request.peer)

    def _set(self, body: bytes) -> Any:
        simulator = self._simulator
        try:
            answers = Script.read(body)
            for token, steps in answers.items():
                check(token, steps, simulator.reasons)
        except ValueError as error:
            raise _Asked(400, str(error)) from None
        for token, steps in answers.items():
            simulator.script.on(token, steps)
        return {"tokens": len(answers)}


def counts(simulator: "Simulator") -> dict[str, Any]:
    """All counts, as JSON."""
    shown = simulator.shown
    return {
        "requests": simulator.requests,
        "accepted": shown.accepted,
        "notifications": shown.notifications,
        "duplicates": shown.duplicates,
        "devices": len(shown.tokens),
        "connections": len(simulator.peers),
        "answers": dict(simulator.answers),
    }


def _last(query: dict[str, list[str]]) -> int:
    given = query.get("last", [str(_LAST)])[-1]
    if not given.isdecimal() or int(given) < 1:
        raise _Asked(400, "last: a number from 1")
    return int(given)


def _json(value: Any, status: int = 200) -> Respond:
    return Respond(status, (("content-type", "application/json"),), msgspec.json.encode(value))
