"""The certificate that `--gcm` makes: trusted once, kept, renewed in time, and good for this server's names alone."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certificates import shown_at
from clarion.errors import ConfigurationError
from clarion.testing import ManualClock
from clarion.transport import authority as authority_module
from clarion.transport.authority import (
    AUTHORITY,
    AUTHORITY_KEY,
    CERTIFICATE,
    KEY,
    OwnCertificate,
    ensure_certificate,
)

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["push.corp.example", "localhost", "127.0.0.1"]


def ensure(folder: Path, names: list[str] = NAMES, after_days: int = 0) -> tuple[bytes, bytes]:
    """What browsers are to trust and what is served, at a time from now."""
    at = NOW + timedelta(days=after_days)
    served, key = ensure_certificate(folder, names, int(at.timestamp() * 1000))
    assert (served, key) == (folder / CERTIFICATE, folder / KEY)
    return (folder / AUTHORITY).read_bytes(), served.read_bytes()


async def handshake(folder: Path, name: str) -> None:
    """A TLS client that trusts the authority asks for a name. Raises SSLError."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=str(folder / AUTHORITY))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        writer.close()
    finally:
        server.close()


async def test_who_trusts_the_authority_trusts_the_server_by_all_its_names(tmp_path: Path) -> None:
    ensure(tmp_path)
    for name in NAMES:
        await handshake(tmp_path, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(tmp_path, "elsewhere.example")


async def test_the_authority_can_speak_for_nobody_else(tmp_path: Path) -> None:
    """Whoever has its key signs for another name: no client believes that."""
    ensure(tmp_path)
    authority = authority_module._load(tmp_path / AUTHORITY, tmp_path / AUTHORITY_KEY)
    assert authority
    for name in ("bank.example", "10.0.0.1"):
        forged = authority_module._make_served([authority_module._general_name(name)], NOW, authority)
        authority_module._save(forged, tmp_path / CERTIFICATE, tmp_path / KEY)
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            await handshake(tmp_path, name)


def test_keys_are_for_the_server_alone(tmp_path: Path) -> None:
    ensure(tmp_path)
    for name in (KEY, AUTHORITY_KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        serialization.load_pem_private_key((tmp_path / name).read_bytes(), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY])


def test_what_is_there_is_kept_and_renewed_before_it_expires(tmp_path: Path) -> None:
    authority, served = ensure(tmp_path)
    assert ensure(tmp_path, after_days=300) == (authority, served)
    same, renewed = ensure(tmp_path, after_days=370)
    assert same == authority, "browsers would have to trust it anew"
    assert renewed != served
    until = x509.load_pem_x509_certificate(renewed).not_valid_after_utc
    assert until > NOW + timedelta(days=370 + 300)


async def test_it_is_renewed_while_the_server_runs(tmp_path: Path) -> None:
    clock = ManualClock(int(NOW.timestamp() * 1000))
    own = OwnCertificate(tmp_path, NAMES, clock)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, **own.listening())
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context()  # takes any: TLS goes by the machine's own time
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    first = await shown_at(port, trust)
    await own.renew()
    assert await shown_at(port, trust) == first
    clock.advance(hours=24 * 370)
    await own.renew()
    assert await shown_at(port, trust) != first
    server.close()


def test_a_folder_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"CLARION_DATA: .*CLARION_TLS_CERT takes one"):
        OwnCertificate(tmp_path / "file" / "data", NAMES, ManualClock())


def test_other_names_need_another_authority(tmp_path: Path) -> None:
    authority, served = ensure(tmp_path)
    assert ensure(tmp_path, list(reversed(NAMES))) == (authority, served)
    other, reissued = ensure(tmp_path, [*NAMES, "new.example"])
    assert other != authority
    assert reissued != served


async def test_processes_that_start_together_serve_what_one_authority_signed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    await asyncio.gather(*(asyncio.to_thread(ensure, folder) for _ in range(8)))
    await handshake(folder, "localhost")
    made = ensure(folder)
    assert ensure(folder) == made


@pytest.mark.parametrize("name", [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY])
@pytest.mark.parametrize("damage", ["lost", "garbage"])
async def test_what_is_damaged_is_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    ensure(tmp_path)
    if damage == "lost":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(b"garbage")
    ensure(tmp_path)
    await handshake(tmp_path, "localhost")
