"""Learn: what came back about a delivery, and what it changes."""

from collections.abc import Sequence

import msgspec

from clarion.model import Millis, Receipt


def credible(receipts: Sequence[Receipt], now: Millis) -> list[Receipt]:
    """The receipts with times that can be: a device's clock may run ahead, what happened cannot be later than now."""
    return [receipt if receipt.at <= now else msgspec.structs.replace(receipt, at=now) for receipt in receipts]
