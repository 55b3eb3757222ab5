"""Running processes: a server with its roles, or the demo."""

import errno
import socket
from collections.abc import Iterable

import structlog
from rich.console import Console

from clarion import bootstrap, demo
from clarion.cli import logs
from clarion.cli.looping import until_told
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
    told = {"http": settings.http_origin} | ({"devices": settings.push_url} if "gateway" in wanted else {})
    until_told(bootstrap.serve(settings, wanted, lambda: log.info("ready", roles=sorted(wanted), **told)))


def serve_demo(settings: Settings) -> None:
    """The whole system with the shop, until Ctrl+C."""
    logs.configure(settings)
    _check_ports(settings, devices=True)
    until_told(bootstrap.serve_demo(settings, lambda links: demo.banner(Console(highlight=False), links)))


def _check_ports(settings: Settings, *, devices: bool) -> None:
    """Both ports before anything starts, so that a taken one is told by the name of its setting."""
    wanted = [("--port", settings.port)] + ([("--push-port", settings.push_port)] if devices else [])
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
