"""The certificate: what is refused at start, what a renewal does, what is warned of."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from certificates import Authority, Pair
from clarion.config import Settings, load
from clarion.errors import ConfigurationError
from clarion.testing import ManualClock
from clarion.transport.tls import EXPIRES, Certificate

HOUR = timedelta(hours=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(tmp_path: Path, authority: Authority) -> Pair:
    pair = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    authority.issue(pair)
    return pair


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(round(datetime.now(UTC).timestamp() * 1000))


def refused(pair: Pair, clock: ManualClock) -> tuple[str, str]:
    """The setting that is named, and the words."""
    with pytest.raises(ConfigurationError) as caught:
        Certificate(pair.cert, pair.key, clock)
    [(setting, message)] = caught.value.errors
    return setting, message


# --- at start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "setting"), [(0, "CLARION_TLS_CERT"), (1, "CLARION_TLS_KEY")])
def test_a_file_that_is_missing_is_named(pair: Pair, clock: ManualClock, which: int, setting: str) -> None:
    pair[which].unlink()
    assert refused(pair, clock) == (setting, f"{pair[which]} cannot be read: No such file or directory")


@pytest.mark.parametrize(("which", "setting"), [(0, "CLARION_TLS_CERT"), (1, "CLARION_TLS_KEY")])
def test_a_folder_is_no_file(pair: Pair, clock: ManualClock, which: int, setting: str) -> None:
    pair[which].unlink()
    pair[which].mkdir()
    named, message = refused(pair, clock)
    assert (named, str(pair[which]) in message) == (setting, True)


@pytest.mark.parametrize("written", [b"", b"no PEM at all", b"-----BEGIN CERTIFICATE-----\nMIIB"])
def test_what_is_no_certificate_is_named(pair: Pair, clock: ManualClock, written: bytes) -> None:
    pair.cert.write_bytes(written)
    assert refused(pair, clock) == ("CLARION_TLS_CERT", f"{pair.cert} is not a certificate chain in PEM")


@pytest.mark.parametrize("written", [b"", b"no PEM at all", b"-----BEGIN PRIVATE KEY-----\nMIIB"])
def test_what_is_no_key_is_named(pair: Pair, clock: ManualClock, written: bytes) -> None:
    pair.key.write_bytes(written)
    assert refused(pair, clock) == ("CLARION_TLS_KEY", f"{pair.key} is not a private key in PEM")


@pytest.mark.parametrize("rsa_key", [False, True])
def test_the_key_of_another_certificate_is_refused(
    pair: Pair, clock: ManualClock, authority: Authority, tmp_path: Path, rsa_key: bool
) -> None:
    authority.issue(Pair(tmp_path / "other.pem", pair.key), rsa_key=rsa_key)
    setting, message = refused(pair, clock)
    assert setting == "CLARION_TLS_KEY"
    assert message == f"{pair.key} is the key of another certificate than the first in {pair.cert}"


def test_an_encrypted_key_is_refused_without_asking(pair: Pair, clock: ManualClock, authority: Authority) -> None:
    authority.issue(pair, password=b"long and secret")
    setting, message = refused(pair, clock)
    assert setting == "CLARION_TLS_KEY"
    assert "is encrypted" in message


def test_one_file_may_hold_both(pair: Pair, clock: ManualClock) -> None:
    both = pair.cert
    both.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    Certificate(both, both, clock)


def test_an_expired_certificate_is_served_with_a_warning(pair: Pair, clock: ManualClock, authority: Authority) -> None:
    authority.issue(pair, ends=datetime.now(UTC) - HOUR)
    with capture_logs() as logs:
        Certificate(pair.cert, pair.key, clock)
    assert [(line["event"], line["log_level"], line["file"]) for line in logs] == [
        ("certificate_expired", "warning", str(pair.cert))
    ]


def test_a_certificate_of_tomorrow_is_served_with_a_warning(
    pair: Pair, clock: ManualClock, authority: Authority
) -> None:
    authority.issue(pair, begins=datetime.now(UTC) + HOUR)
    with capture_logs() as logs:
        Certificate(pair.cert, pair.key, clock)
    assert [line["event"] for line in logs] == ["certificate_not_yet_valid"]


# --- renewed ---------------------------------------------------------------------------------------------------------


async def test_files_that_did_not_change_are_left_alone(pair: Pair, clock: ManualClock) -> None:
    certificate = Certificate(pair.cert, pair.key, clock)
    with capture_logs() as logs:
        await certificate.renew()
    assert logs == []


async def test_a_renewal_is_told_and_moves_the_expiry(pair: Pair, clock: ManualClock, authority: Authority) -> None:
    certificate = Certificate(pair.cert, pair.key, clock)
    ends = datetime.now(UTC).replace(microsecond=0) + 9 * HOUR
    authority.issue(pair, ends=ends)
    with capture_logs() as logs:
        await certificate.renew()
        await certificate.renew()
    assert [line["event"] for line in logs] == ["certificate_renewed"]
    told = REGISTRY.get_sample_value("clarion_tls_certificate_expires_seconds", {"file": str(pair.cert)})
    assert told == ends.timestamp()
    EXPIRES.remove(str(pair.cert))


async def test_half_a_renewal_is_told_once_and_the_whole_is_taken(
    pair: Pair, clock: ManualClock, authority: Authority, tmp_path: Path
) -> None:
    certificate = Certificate(pair.cert, pair.key, clock)
    renewed = Pair(tmp_path / "renewed.pem", tmp_path / "renewed-key.pem")
    authority.issue(renewed)
    with capture_logs() as logs:
        pair.cert.write_bytes(renewed.cert.read_bytes()[:200])
        for _ in range(3):
            await certificate.renew()
        renewed.cert.replace(pair.cert)  # the key is still the old one
        for _ in range(3):
            await certificate.renew()
        renewed.key.replace(pair.key)
        await certificate.renew()
    assert [line["event"] for line in logs] == ["certificate_refused", "certificate_refused", "certificate_renewed"]
    assert "not a certificate chain" in logs[0]["reason"]
    assert "key of another certificate" in logs[1]["reason"]


async def test_links_that_are_turned_to_other_files_are_a_renewal(
    pair: Pair, clock: ManualClock, authority: Authority, tmp_path: Path
) -> None:
    """As certbot and Kubernetes renew: the files stay, the links move."""
    links = Pair(tmp_path / "live.pem", tmp_path / "live-key.pem")
    for link, file in zip(links, pair, strict=True):
        link.symlink_to(file)
    certificate = Certificate(links.cert, links.key, clock)
    renewed = Pair(tmp_path / "cert2.pem", tmp_path / "key2.pem")
    authority.issue(renewed)
    for file, old in zip(renewed, pair, strict=True):  # not even the time of change tells them apart
        os.utime(file, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    for link, file in zip(links, renewed, strict=True):
        link.unlink()
        link.symlink_to(file)
    with capture_logs() as logs:
        await certificate.renew()
    assert [line["event"] for line in logs] == ["certificate_renewed"]


# --- settings --------------------------------------------------------------------------------------------------------


def test_with_a_certificate_the_default_addresses_are_secure(pair: Pair) -> None:
    settings = Settings(tls_cert=pair.cert, tls_key=pair.key)
    assert settings.http_origin == settings.endpoint_origin == "https://127.0.0.1:8700"
    assert settings.push_url == "wss://127.0.0.1:8701/"
    told = Settings(
        tls_cert=pair.cert, tls_key=pair.key, public_url="http://a.example", public_push_url="ws://a.example/"
    )
    assert (told.http_origin, told.push_url) == ("http://a.example", "ws://a.example/")


@pytest.mark.parametrize("given", ["CLARION_TLS_CERT", "CLARION_TLS_KEY"])
def test_one_without_the_other_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="go together"):
        load({given: "/etc/some.pem"})


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/33"])
def test_a_proxy_that_is_no_network_is_named(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"CLARION_TRUSTED_PROXIES": f"127.0.0.1, {wrong}"})
    [(setting, message)] = caught.value.errors
    assert setting == "CLARION_TRUSTED_PROXIES"
    assert message.startswith(wrong)
