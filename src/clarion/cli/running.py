"""Running processes: a server with its roles, or the demo."""

import asyncio
import errno
import signal
import socket
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import structlog
from rich.console import Console

from clarion import bootstrap, demo
from clarion.cli import logs
from clarion.cli.problem import Misuse, Problem
from clarion.config import Settings
from clarion.errors import ConfigurationError


def serve(settings: Settings, roles: Iterable[str]) -> None:
    """Serve until told to end. Raises Problem when it cannot begin."""
    try:
        wanted = bootstrap.check_roles([role.strip() for text in roles for role in text.split(",")])
    except ConfigurationError as error:
        raise Misuse("There is no such role", error.detail) from None
    logs.configure(settings)
    _check_ports(settings, devices="gateway" in wanted)
    log = structlog.get_logger("clarion")
    told = {"http": settings.http_origin}
    if "gateway" in wanted:
        told |= {"devices": settings.push_url} | ({"chromium": settings.gcm_url} if settings.gcm else {})
    _run(bootstrap.serve(settings, wanted, lambda: log.info("ready", roles=sorted(wanted), **told)))


def serve_demo(settings: Settings) -> None:
    """The whole system with the shop, until Ctrl+C."""
    logs.configure(settings)
    _check_ports(settings, devices=True)
    _run(bootstrap.serve_demo(settings, lambda links: demo.banner(Console(highlight=False), links)))


def _run(server: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    # Uvicorn ends at a signal and then raises it again. As an exception it lets everything around the server close in
    # order, where the system's own handling of SIGTERM would end the process at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with suppress(KeyboardInterrupt):
        run(server)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _check_ports(settings: Settings, *, devices: bool) -> None:
    """All ports before anything starts, so that a taken one is told by the name of its setting."""
    wanted = [("--port", settings.port)] + ([("--push-port", settings.push_port)] if devices else [])
    wanted += [("--gcm-port", settings.gcm_port)] if devices and settings.gcm else []
    for flag, port in wanted:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            words = f"{flag} takes another" if taken else f"{error.strerror or error} (--host, {flag})"
            raise Problem(
                f"Cannot listen on {settings.host} port {port}", f"It is taken; {words}" if taken else words
            ) from None
