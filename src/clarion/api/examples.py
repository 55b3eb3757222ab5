"""A body for each call that takes one, as the documents show it and a test sends it."""

from typing import Any

_WEBPUSH = {
    "kind": "webpush",
    "address": "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    "permission": "granted",
    "locale": "de-AT",
    "timezone": "Europe/Vienna",
    "installation": "5b3f7c1e-8d0a-4a57-9d4e-2f6c1b0a9e8d",
}
_MESSAGE = {
    "category": "general",
    "title": "Your order is on its way",
    "body": "{{ data.order_id }} leaves today.",
    "data": {"order_id": "A-17"},
    "url": "https://shop.example/orders/A-17",
    "actions": [{"id": "track", "title": "Track", "url": "https://shop.example/track/A-17"}],
}
_EVENT = {
    "name": "order_shipped",
    "properties": {"order_id": "A-17"},
    "occurred_at": "2026-11-22T17:00:00Z",
    "id": "e-1",
}
_CATEGORY = {"title": "Orders", "description": "Where your orders are.", "class": "informational", "channels": ["push"]}
_TEMPLATE = {
    "default_locale": "en",
    "locales": {
        "en": {"title": "On its way", "body": "Order {{ data.order_id }} leaves today."},
        "de": {"title": "Unterwegs", "body": "Bestellung {{ data.order_id }} geht heute raus."},
    },
}
_PARTIAL = {
    "default_locale": "en",
    "locales": {"en": "Your {{ project.name }} team", "de": "Dein {{ project.name }}-Team"},
}
_AUTOMATION = {
    "on": {"event": "order_shipped"},
    "notification": {"category": "general", "title": "Order {{ event.properties.order_id }} is on its way"},
}
_CAMPAIGN = {
    "to": {"everyone": True},
    "notification": {"category": "general", "title": "The spring shoes are here"},
    "schedule": {"cron": "0 9 * * 1", "timezone": "Europe/Vienna", "missed": "skip"},
    "rate": 500,
    "goal": {"event": "order", "within": 86_400},
}
_RULE = {
    "type": "all",
    "rules": [
        {"type": "attribute", "attribute": "plan", "op": "in", "value": ["gold", "silver"]},
        {"type": "did", "event": "order", "at_least": 2, "within": {"days": 90}},
        {"type": "did_not", "event": "order", "within": {"days": 30}},
    ],
}

BODIES: dict[str, dict[str, Any]] = {
    "put_user": {"attributes": {"plan": "gold"}, "locale": "de-AT", "timezone": "Europe/Vienna"},
    "put_consent": {"category": "general", "channel": "push", "granted": True, "source": "checkout form"},
    "put_own_preferences": {
        "quiet_hours": {"start": "21:00", "end": "07:30"},
        "marketing_paused_until": "2026-12-24T00:00:00Z",
    },
    "import_consents": {
        "consents": [
            {
                "user_id": "u1",
                "category": "general",
                "channel": "push",
                "granted": True,
                "source": "former system",
                "wording_version": "2025-03",
                "at": "2025-03-01T12:00:00Z",
            }
        ]
    },
    "register_device": {"user_id": "u1", **_WEBPUSH},
    "register_own_device": _WEBPUSH,
    "notify": {"to": {"users": ["u1"]}, **_MESSAGE},
    "replace_notification": {"body": "3 stops away."},
    "create_category": {"name": "orders", **_CATEGORY},
    "replace_category": _CATEGORY,
    "create_template": {"name": "shipped", **_TEMPLATE},
    "replace_template": _TEMPLATE,
    "create_partial": {"name": "footer", **_PARTIAL},
    "replace_partial": _PARTIAL,
    "preview_template": {"user_id": "u1", "data": {"order_id": "A-17"}, "locale": "de-AT", "platforms": ["iphone"]},
    "roll_template_back": {"version": 1},
    "create_automation": {"name": "order shipped", **_AUTOMATION},
    "replace_automation": _AUTOMATION,
    "begin_runs": {"user_id": "u1", "key": "A-17", "data": {"plan": "gold"}},
    "cancel_runs": {"key": "A-17"},
    "create_campaign": {"name": "spring", **_CAMPAIGN},
    "replace_campaign": _CAMPAIGN,
    "create_segment": {"name": "carts", "ready_made": "cart_abandoned", "parameters": {"within": {"days": 3}}},
    "replace_segment": {"rule": _RULE},
    "preview_segment": {"rule": _RULE},
    "add_segment_users": {"users": ["u1", "u2"]},
    "remove_segment_users": {"users": ["u1"]},
    "create_topic": {"name": "sport/football", "title": "Football", "open": True},
    "replace_topic": {"title": "Football", "open": True},
    "subscribe_users": {"users": ["u1", "u2"]},
    "unsubscribe_users": {"users": ["u1"]},
    "put_own_topic": {"topic": "sport/football", "subscribed": True},
    "lint": {"title": "Last chance: 50% off!!!", "body": "Shoes and boots.", "locale": "en"},
    "preview": {
        "title": "Hello",
        "variants": [{"key": "a"}, {"key": "b", "title": "Good morning"}],
        "platforms": ["iphone"],
    },
    "put_project": {
        "name": "Shop",
        "allowed_origins": ["https://shop.example"],
        "default_timezone": "Europe/Vienna",
        "caps": [{"name": "all", "limit": 5, "per": "day", "at_cap": "wait"}],
        "quiet_hours": {"start": "22:00", "end": "08:00"},
    },
    "create_key": {"kind": "server", "name": "order service", "scopes": ["send"]},
    "replace_key": {"name": "order service", "scopes": ["send", "read"]},
    "create_credential": {"kind": "webpush"},
    "replace_credential": {"kind": "webpush", "current": True},
    "put_broadcast": {"version": "2026-11-22"},
    "put_preferences": {"category": "general", "channel": "push", "granted": False},
    "ingest_events": {"user_id": "u1", **_EVENT},
    "ingest_sdk_events": {"name": "cart_added", "properties": {"sku": "A"}},
    "take_receipts": {
        "receipt": "the token of 64 characters from the message's payload",
        "kind": "clicked",
        "action": "track",
    },
}
"""By the name of the operation."""
