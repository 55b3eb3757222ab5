"""firebase-admin: `send_each` with 500 messages a call, the most that it takes."""

import firebase_admin  # type: ignore[import-untyped] # it ships no types
import requests
from firebase_admin import credentials, messaging
from google.oauth2.credentials import Credentials

from sending_parts.asked import BODY, TITLE, URL, Watch, task

_MOST = 500


class _Granted(credentials.Base):  # type: ignore[misc] # it ships no types
    """An access token that is there already: getting one is not what is measured."""

    def get_credential(self) -> Credentials:
        return Credentials("ya29." + "e" * 200)  # type: ignore[no-untyped-call] # it ships no types


def main() -> None:
    told = task()
    origin = f"https://localhost:{told['port']}"
    messaging._MessagingService.FCM_URL = origin + "/v1/projects/{0}/messages:send"  # noqa: SLF001 - it has no setting
    app = firebase_admin.initialize_app(_Granted(), {"projectId": told["project"]})
    service = messaging._get_messaging_service(app)  # noqa: SLF001 - to give our origin the connections that Google's has
    adapter = requests.adapters.HTTPAdapter(pool_connections=100, pool_maxsize=100)
    service._client.session.mount(origin, adapter)  # noqa: SLF001
    messages = [
        messaging.Message(
            token=token, notification=messaging.Notification(TITLE, BODY), data={"url": URL}, android=_android(token)
        )
        for token in told["tokens"]
    ]
    messaging.send_each(messages[:_MOST], app=app)
    watch, sent = Watch(), 0
    for start in range(0, len(messages), _MOST):
        sent += messaging.send_each(messages[start : start + _MOST], app=app).success_count
    watch.tell(sent, len(messages))


def _android(token: str) -> messaging.AndroidConfig:
    return messaging.AndroidConfig(ttl=259_200, notification=messaging.AndroidNotification(tag=token[:32]))


if __name__ == "__main__":
    main()
