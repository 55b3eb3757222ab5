"""One connection to the push service: hello, then channels, notifications and their acknowledgements, until it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import structlog

from clarion.agent.server import USER_AGENT, reason_of, retry_after
from clarion.agent.together import rest
from clarion.wire.autopush import (
    SUBPROTOCOL,
    Ack,
    AckCode,
    ClientMessage,
    Hello,
    NotAMessage,
    Notification,
    Register,
    Registered,
    ServerMessage,
    Unregister,
    Update,
    Welcome,
    encode,
    parse_server,
)

log = structlog.get_logger(__name__)

STAY_AWAY: Final = 4774
"""The close code after which Firefox does not come back by itself."""
PING_S = 60.0
PONG_S = 10.0
_ANSWER_S = 30.0
_CONNECT_S = 30.0
_OK = 200
_LARGEST_FRAME = 64 * 1024
_CLOSE_S = 2.0
_GONE = (aiohttp.ClientError, ConnectionError, TimeoutError, OSError)

Receive = Callable[[Notification], AckCode]


class Lost(Exception):
    """There is no connection, or it has ended; `retry_after_s` is what the server asked for."""

    def __init__(self, why: str, *, code: int | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.code = code
        self.retry_after_s = retry_after_s


class Connection:
    """After the hello. `uaid` is the name that the push service calls this device by."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, uaid: str) -> None:
        self.uaid = uaid
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Registered]] = {}
        self._heard = asyncio.Event()
        self._doubt = asyncio.Event()

    async def register(self, channel_id: str, vapid_public_key: str) -> str:
        """The endpoint of a new channel. Raises Lost."""
        answer: asyncio.Future[Registered] = asyncio.get_running_loop().create_future()
        self._answers[channel_id] = answer
        await self._say(Register(channel_id=channel_id, key=vapid_public_key))
        try:
            async with asyncio.timeout(_ANSWER_S):
                registered = await answer
        except TimeoutError:
            raise Lost("the push service did not answer") from None
        finally:
            del self._answers[channel_id]
        if registered.status != _OK:
            raise Lost(f"the push service refused a channel ({registered.status})")
        return registered.push_endpoint

    async def unregister(self, channel_id: str) -> None:
        """Give a channel up. Raises Lost."""
        await self._say(Unregister(channel_id=channel_id, code=200))

    def check(self) -> None:
        """Something happened to the machine: find out now whether anybody is still there."""
        self._doubt.set()

    async def pulse(self) -> None:
        """Ping now and then; a connection without an answer is closed, which ends `read`."""
        while True:
            await rest(self._doubt, PING_S)
            self._heard.clear()
            try:
                async with asyncio.timeout(PONG_S):
                    await self._socket.ping()
                    await self._heard.wait()
            except _GONE:
                log.info("connection_dead")
                await self._socket.close()
                return

    async def read(self, receive: Receive) -> None:
        """Hand each notification to `receive` and acknowledge it as that says. Ends by raising Lost."""
        while True:
            frame = await self._socket.receive()
            self._heard.set()
            match frame.type:
                case aiohttp.WSMsgType.TEXT:
                    await self._on_text(frame.data, receive)
                case aiohttp.WSMsgType.PING:
                    await self._socket.pong(frame.data)
                case aiohttp.WSMsgType.PONG:
                    pass
                case aiohttp.WSMsgType.BINARY:
                    log.warning("frame_ignored", why="binary")
                case _:
                    raise _lost(self._socket, frame)

    async def _on_text(self, text: str, receive: Receive) -> None:
        try:
            message = parse_server(text.encode())
        except NotAMessage as error:  # a message that only newer versions know
            log.warning("frame_ignored", why=str(error))
            return
        if isinstance(message, Notification):
            update = Update(channel_id=message.channel_id, version=message.version, code=receive(message))
            await self._say(Ack(updates=[update]))
        elif isinstance(message, Registered):
            answer = self._answers.get(message.channel_id)
            if answer is not None and not answer.done():
                answer.set_result(message)

    async def _say(self, message: ClientMessage) -> None:
        try:
            await self._socket.send_str(encode(message).decode())
        except _GONE as error:
            raise Lost(reason_of(error)) from None


@asynccontextmanager
async def connected(http: aiohttp.ClientSession, url: str, uaid: str | None) -> AsyncIterator[Connection]:
    """A connection whose hello was answered. Raises Lost."""
    socket = await _opened(http, url)
    try:
        welcome = await _hello(socket, uaid)
        yield Connection(socket, welcome.uaid)
    finally:
        await socket.close()


async def _opened(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(_CONNECT_S):
            return await http.ws_connect(
                url,
                protocols=(SUBPROTOCOL,),
                autoping=False,
                max_msg_size=_LARGEST_FRAME,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                headers={"User-Agent": USER_AGENT},
            )
    except aiohttp.WSServerHandshakeError as error:
        words = f"the push service answered {error.status}"
        raise Lost(words, retry_after_s=retry_after(error.headers or {})) from None
    except (*_GONE, ValueError) as error:
        raise Lost(f"no answer from the push service: {reason_of(error)}") from None


async def _hello(socket: aiohttp.ClientWebSocketResponse, uaid: str | None) -> Welcome:
    message = await _answered(socket, Hello(use_webpush=True, broadcasts={}, uaid=uaid))
    if not isinstance(message, Welcome) or message.status != _OK or not message.use_webpush or not message.uaid:
        raise Lost("the push service did not greet back")
    return message


async def _answered(socket: aiohttp.ClientWebSocketResponse, hello: Hello) -> ServerMessage:
    try:
        async with asyncio.timeout(_ANSWER_S):
            await socket.send_str(encode(hello).decode())
            while (frame := await socket.receive()).type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
                await socket.pong(frame.data)
    except _GONE as error:
        raise Lost(f"no answer from the push service: {reason_of(error)}") from None
    if frame.type is not aiohttp.WSMsgType.TEXT:
        raise _lost(socket, frame)
    try:
        return parse_server(frame.data.encode())
    except NotAMessage as error:
        raise Lost(f"this does not speak as a push service does: {error}") from None


def _lost(socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> Lost:
    """How it ended, by the close code or by the error that stands in its place."""
    if isinstance(frame.data, BaseException):
        return Lost(reason_of(frame.data), code=socket.close_code)
    words = f"closed with {socket.close_code}" + (f": {frame.extra}" if frame.extra else "")
    return Lost(words, code=socket.close_code)
