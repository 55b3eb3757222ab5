"""Google's push service (FCM HTTP v1) with its token endpoint, as far as a sender can tell."""

import re
import secrets
from typing import Final, Unpack

import msgspec

from clarion.model import Millis
from clarion.testing.simulators import fcm_errors
from clarion.testing.simulators.codes import Codes
from clarion.testing.simulators.exchange import Peer, Request, Respond
from clarion.testing.simulators.fcm_rules import Send, read_send
from clarion.testing.simulators.oauth import LIFETIME_S, ServiceAccount, TokenEndpoint
from clarion.testing.simulators.script import Refuse
from clarion.testing.simulators.shown import Message, Waiting
from clarion.testing.simulators.simulator import Common, Passed, Settled, Simulator

STREAMS: Final = 100
PROJECT: Final = "simulated-project"
_SEND: Final = re.compile(r"/v1/projects/([^/?]+)/messages:send(?:\?.*)?")
_TOKEN: Final = "/token"  # noqa: S105 - a path
_COLLAPSE_KEYS: Final = 4
_PLAIN: Final = 100


def keep(waiting: Waiting, message: Message) -> None:
    """FCM keeps a message for each of four collapse keys, and up to 100 without; one more, and those are all dropped.

    Which four it does not promise: here they are the newest.
    """
    assert message.slot is not None
    waiting.pop(message.slot, None)
    waiting[message.slot] = message
    keys = [slot for slot in waiting if slot.startswith("key:")]
    plain = [slot for slot in waiting if not slot.startswith("key:")]
    for slot in keys[:-_COLLAPSE_KEYS] + (plain if len(plain) > _PLAIN else []):
        del waiting[slot]


class FcmSimulator(Simulator):
    """`POST /v1/projects/{project}/messages:send` and `POST /token` as Google answers them.

    See `Simulator` for what all simulators take. Senders use `account.file`, a service account's JSON file whose
    `token_uri` leads here. `token_lifetime_s` is how long access tokens last, `streams` how many requests a connection
    may have at a time. HTTP/1.1 is spoken too.
    """

    codes = Codes(fcm_errors.ERROR_CODES, retry_after={"QUOTA_EXCEEDED": 60, "UNAVAILABLE": 1})
    reasons = fcm_errors.ERROR_CODES.keys()

    def __init__(
        self,
        *,
        project: str = PROJECT,
        streams: int = STREAMS,
        token_lifetime_s: int = LIFETIME_S,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(keep, **common)
        self.project = project
        self.streams = streams
        self.account = ServiceAccount(self.folder, project)
        self._tokens = TokenEndpoint(self.account, token_lifetime_s)

    @property
    def send_url(self) -> str:
        """Where messages go."""
        return f"{self.url}/v1/projects/{self.project}/messages:send"

    def prepare(self) -> None:
        self.account.serve_at(self.url)

    def opened(self, peer: Peer) -> int:  # noqa: ARG002 - all connections are alike
        return self.streams

    def check(self, request: Request, now: Millis) -> Passed | Settled:
        if request.path == _TOKEN and request.method == "POST":
            return Settled(*self._tokens.respond(request, self.url + _TOKEN, now / 1000))
        try:
            send = self._admitted(request, now)
        except fcm_errors.Refusal as refusal:
            return Settled(refusal.label, refusal.response)
        name = "fake_message_id" if send.validate_only else f"0:{now * 1000}%{secrets.token_hex(8)}"
        message = None if send.validate_only else _message(send, name, now)
        return Passed(send.target, message, self._accepted(name))

    def refusal(self, request: Request, answer: Refuse, now: Millis) -> Respond:  # noqa: ARG002 - Apple's need these
        return fcm_errors.scripted(answer.reason, answer.retry_after)

    def _admitted(self, request: Request, now: Millis) -> Send:
        path = _SEND.fullmatch(request.path)
        if path is None or request.method != "POST":
            raise fcm_errors.not_found(request.path)
        self._tokens.check(request.headers.get("authorization"), path[1], now / 1000)
        if wait := self.quota.take(self.project, now):
            raise fcm_errors.project_quota(self.project, self.quota.limit or 0, wait)
        return read_send(request.body)

    def _accepted(self, name: str) -> Respond:
        body = msgspec.json.encode({"name": f"projects/{self.project}/messages/{name}"})
        return Respond(200, (("content-type", "application/json; charset=UTF-8"),), body)


def _message(send: Send, name: str, now: Millis) -> Message:
    slot = f"key:{send.collapse_key}" if send.collapse_key else name
    return Message(
        token=send.target,
        id=name,
        key=send.key,
        visible=send.visible,
        slot=slot if send.ttl_s else None,
        at=now,
        payload=send.message,
    )
