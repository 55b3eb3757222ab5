"""pywebpush: `webpush` for each subscription, as its documentation shows, on a session that keeps connections."""

import json
from typing import Any

import requests
from py_vapid import Vapid02  # type: ignore[import-untyped] # it ships no types
from pywebpush import webpush  # type: ignore[import-untyped] # it ships no types

from sending_parts.asked import BODY, TITLE, URL, Watch, task

_TEXT = json.dumps({"v": 1, "title": TITLE, "body": BODY, "url": URL})


def main() -> None:
    told = task()
    key, session = Vapid02.from_string(told["private"]), requests.Session()

    def send(subscription: dict[str, Any]) -> bool:
        claims: dict[str, str | int] = {"sub": "mailto:team@shop.example"}
        response = webpush(
            subscription, _TEXT, vapid_private_key=key, vapid_claims=claims, ttl=259_200, requests_session=session
        )
        return bool(response.status_code == 201)

    subscriptions = told["subscriptions"]
    for subscription in subscriptions[:20]:
        send(subscription)
    watch = Watch()
    watch.tell(sum(map(send, subscriptions)), len(subscriptions))


if __name__ == "__main__":
    main()
