"""What does one message cost before it leaves: encryption, VAPID and tokens, ours beside http_ece and pywebpush.

CPU time of one thread per operation, median over rounds in which all take turns, so that a noisy machine is noisy for
everybody. Encryption goes to a new subscriber each time, as in a campaign.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import http_ece  # type: ignore[import-untyped] # it ships no types
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02  # type: ignore[import-untyped] # it ships no types
from pywebpush import WebPusher  # type: ignore[import-untyped] # it ships no types
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from clarion.crypto import p256, webpush
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import Vapid, VapidVerifier

ROUNDS = 40
SUBSCRIBERS = 200
PAYLOAD = os.urandom(600)
NOW = 1_790_000_000_000
ORIGIN = "https://push.example"
SUBJECT = "mailto:team@shop.example"


class Case(NamedTuple):
    """One row: `run(count)` does the operation `count` times; `key` is its name in the JSON output."""

    key: str
    label: str
    run: Callable[[int], object]
    per_round: int = SUBSCRIBERS


def encryption_cases() -> list[Case]:
    receivers = [webpush.Receiver.generate() for _ in range(SUBSCRIBERS)]
    pushers = [WebPusher({"endpoint": ORIGIN, "keys": receiver.keys()}) for receiver in receivers]
    batch = [(PAYLOAD, receiver.p256dh, receiver.auth) for receiver in receivers]

    def ours(count: int) -> None:
        webpush.encrypt_many(batch[:count])

    def ece(count: int) -> None:
        for receiver in receivers[:count]:
            key = ec.generate_private_key(p256.CURVE)
            http_ece.encrypt(
                PAYLOAD, private_key=key, dh=receiver.p256dh, auth_secret=receiver.auth, version="aes128gcm"
            )

    def pywebpush(count: int) -> None:
        for pusher in pushers[:count]:
            pusher.encode(PAYLOAD)

    return [
        Case("encrypt_us", "Clarion, encrypt_many", ours),
        Case("http_ece_us", "http_ece.encrypt", ece),
        Case("pywebpush_us", "pywebpush, WebPusher.encode", pywebpush),
    ]


def times(operation: Callable[..., object], *arguments: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            operation(*arguments)

    return run


def vapid_cases() -> list[Case]:
    pair = p256.KeyPair.generate()
    signer, peer = Vapid(), Vapid02(p256.load_private(pair.private))
    kept = signer.authorization(ORIGIN, pair.private, NOW, SUBJECT)
    claims = {"aud": ORIGIN, "exp": NOW // 1000 + 43_200, "sub": SUBJECT}

    def sign(count: int) -> None:
        fresh = Vapid()
        for number in range(count):
            fresh.authorization(f"https://{number}.push.example", pair.private, NOW, SUBJECT)

    def verify(count: int) -> None:
        for _ in range(count):
            VapidVerifier(ORIGIN).verify(kept, None, NOW)

    cached = times(signer.authorization, ORIGIN, pair.private, NOW, SUBJECT)
    remembered = times(VapidVerifier(ORIGIN).verify, kept, None, NOW)
    return [
        Case("vapid_us", "VAPID signature, new origin", sign),
        Case("vapid_cached_us", "VAPID signature, from the cache", cached, 10_000),
        Case("py_vapid_us", "py_vapid, sign", times(peer.sign, claims)),
        Case("vapid_verify_us", "VAPID check, new token", verify),
        Case("vapid_verify_cached_us", "VAPID check, remembered token", remembered, 2_000),
    ]


def token_cases() -> list[Case]:
    secrets = [os.urandom(32)]
    receipt = ReceiptTokens(Signer(secrets)).for_notification(1, 2, NOW)
    sign = Signer(secrets).signer_for("bench")
    endpoints = EndpointTokens(secrets)
    endpoint = endpoints.make_v2(bytes(16), bytes(16), bytes(65))

    return [
        Case("sign_us", "Signer.signer_for, 32 bytes", times(sign, bytes(32)), 2_000),
        Case("receipt_us", "Receipt token", times(receipt, 3, 4), 2_000),
        Case("endpoint_read_us", "Push endpoint token, read", times(endpoints.read, "v2", endpoint), 2_000),
    ]


def measure(cases: list[Case], scale: float, console: Console) -> dict[str, float]:
    """Microseconds of CPU per operation by key; every round runs all cases once."""
    took: dict[str, list[float]] = {case.key: [] for case in cases}
    rounds = max(3, round(ROUNDS * scale))
    with Progress(console=console, transient=True) as progress:
        for _ in progress.track(range(rounds), description="encryption"):
            for case in cases:
                start = time.process_time_ns()
                case.run(case.per_round)
                took[case.key].append((time.process_time_ns() - start) / case.per_round / 1000)
    return {key: round(statistics.median(values), 2) for key, values in took.items()}


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the rounds to run.")] = 1.0,
) -> None:
    """CPU per message of encryption, VAPID and tokens."""
    cases = encryption_cases() + vapid_cases() + token_cases()
    figures = measure(cases, scale, Console(stderr=True))
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("operation", title=f"CPU per operation, {len(PAYLOAD)} bytes of payload")
    table.add_column("µs", justify="right")
    table.add_column("key of --json", style="dim")
    for case in cases:
        table.add_row(case.label, f"{figures[case.key]:.2f}", case.key)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
