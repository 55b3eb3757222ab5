"""A server with a certificate: what it says at start, what it tells, and that it is renewed and ended in order."""

import asyncio
import os
import ssl
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from certificates import Authority, Pair, shown_at
from contract.support_gateway import Device, data_of, random_body
from processes.server import Server
from processes.waiting import PATIENCE_S, until

pytestmark = pytest.mark.process


class World(NamedTuple):
    """A server and the files of its certificate."""

    server: Server
    authority: Authority
    pair: Pair


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Not started; what it logs as an error fails the test."""
    authority, pair = Authority(tmp_path), Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    authority.issue(pair)
    server = Server(tmp_path, pair.settings(), trust=authority.trust())
    yield World(server, authority, pair)
    server.kill()


async def test_a_key_of_another_certificate_ends_the_start_with_words(world: World, tmp_path: Path) -> None:
    world.authority.issue(Pair(tmp_path / "other.pem", world.pair.key))
    process = world.server.spawn()
    await until(lambda: process.poll() is not None, "the server to give up")
    assert process.returncode == 1
    words = world.server.last_words()
    assert "CLARION_TLS_KEY" in words
    assert "another certificate" in words
    assert "Traceback" not in words


async def test_a_renewal_while_devices_are_connected(world: World) -> None:
    server, trust = world.server, world.authority.trust()
    await server.start()
    device = await Device(server.push_url).connect(ssl=trust)
    await device.hello()
    endpoint = await device.register()
    assert endpoint.startswith(f"https://127.0.0.1:{server.port}/wpush/")
    expires = await server.metric("clarion_tls_certificate_expires_seconds")

    renewed = world.authority.issue(world.pair, rsa_key=True, ends=datetime.fromtimestamp(expires + 1, UTC))
    for port in (server.port, server.push_port):
        await _shows(renewed, port, trust)
    assert await server.metric("clarion_tls_certificate_expires_seconds") == expires + 1
    body = random_body(4_000)
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}
    async with aiohttp.ClientSession() as http, http.post(endpoint, data=body, headers=headers, ssl=trust) as answer:
        assert answer.status == 201
    assert data_of(await device.hear()) == body
    await server.stop(within_s=10)  # although the device is connected
    await device.leave()
    assert server.complaints() == []


async def _shows(serial: int, port: int, trust: ssl.SSLContext) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await shown_at(port, trust) == serial:
                return
            await asyncio.sleep(0.05)


async def test_commands_ask_it_when_the_authority_is_named(world: World) -> None:
    keys = world.server.create_project("shop")
    await world.server.start()
    command = [sys.executable, "-m", "clarion", "keys", "list", "--server", world.server.url, "--key", keys.server]
    for trusted, code in ((world.authority.path, 0), (None, 1)):
        environment = os.environ | ({"SSL_CERT_FILE": str(trusted)} if trusted else {})
        asked = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=STDOUT)
        words, _ = await asked.communicate()
        assert asked.returncode == code, words.decode()
    assert b"Traceback" not in words


async def test_who_does_not_speak_tls_is_no_trouble(world: World) -> None:
    server = world.server
    await server.start()
    for port in (server.port, server.push_port):
        for said in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
    await server.stop(within_s=10)
    assert server.complaints() == []
