"""How Google says no: the error object of its JSON APIs (google.rpc.Status), with details by type.

Shapes and wording are those seen from the real service; their order, which differs from case to case, is too.
"""

import html
from typing import Any, Final, NamedTuple

import msgspec

from clarion.testing.simulators.exchange import Respond

ERROR_CODES: Final[dict[str, tuple[int, str, str]]] = {
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "UNREGISTERED": (404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "UNAVAILABLE": (503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": (500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}
"""Every errorCode of FcmError: HTTP status, `status`, and message. The order numbers the codes of tokens."""

_RPC: Final = "type.googleapis.com/google.rpc."
_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_JSON: Final = ("content-type", "application/json; charset=UTF-8")
_SEE: Final = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
INVALID_TOKEN: Final = "The registration token is not a valid FCM registration token"  # noqa: S105 - a sentence


class Violation(NamedTuple):
    """A wrong field: its path in the request, and what is wrong."""

    field: str
    description: str


class Refusal(Exception):
    """The request is refused; `label` is how it is counted."""

    def __init__(self, label: str, response: Respond) -> None:
        super().__init__(label)
        self.label = label
        self.response = response


def error(
    status: int, name: str, message: str, *details: dict[str, Any] | None, retry_after: int | None = None
) -> Respond:
    """An error response."""
    told: dict[str, Any] = {"code": status, "message": message, "status": name}
    given = [detail for detail in details if detail]
    if given:
        told["details"] = given
    headers = [_JSON] + ([] if retry_after is None else [("retry-after", str(retry_after))])
    return Respond(status, tuple(headers), msgspec.json.encode({"error": told}))


def scripted(code: str, retry_after: int | None = None) -> Respond:
    """One of ERROR_CODES, as FCM answers it about a target. For INVALID_ARGUMENT the token is at fault."""
    status, name, message = ERROR_CODES[code]
    if code == "INVALID_ARGUMENT":
        violation = bad_request(Violation("message.token", INVALID_TOKEN))
        return error(status, name, INVALID_TOKEN, fcm_error(code), violation, retry_after=retry_after)
    more = quota_failure() if code == "QUOTA_EXCEEDED" else None
    return error(status, name, message, fcm_error(code), more, retry_after=retry_after)


def malformed(*violations: Violation) -> Refusal:
    """The request does not fit the schema: Google's JSON reader refuses it, before FCM sees it (no FcmError)."""
    message = "\n".join(violation.description for violation in violations)
    response = error(400, "INVALID_ARGUMENT", message, bad_request(*violations))
    return Refusal("400 INVALID_ARGUMENT", response)


def invalid(field: str, message: str) -> Refusal:
    """FCM itself refuses a field."""
    details = bad_request(Violation(field, message)), fcm_error("INVALID_ARGUMENT")
    return Refusal("400 INVALID_ARGUMENT", error(400, "INVALID_ARGUMENT", message, *details))


def too_large() -> Refusal:
    """More than 4,096 bytes: no field is named."""
    message = "Message is too large. The maximum is 4K (4096 bytes)."
    details = {"@type": _RPC + "BadRequest"}, fcm_error("INVALID_ARGUMENT")
    return Refusal("400 INVALID_ARGUMENT", error(400, "INVALID_ARGUMENT", message, *details))


def project_quota(project: str, limit: int, retry_after: int) -> Refusal:
    """The project sends too much in a minute. This answer comes from the front of the API: it has no FcmError."""
    message = (
        "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service "
        f"'fcm.googleapis.com' for consumer 'projects/{project}'."
    )
    metadata = {
        "quota_limit_value": str(limit),
        "consumer": f"projects/{project}",
        "quota_metric": "fcm.googleapis.com/send_requests",
        "quota_unit": "1/min/{project}",
        "service": "fcm.googleapis.com",
        "quota_location": "global",
        "quota_limit": "SendsPerMinutePerProject",
    }
    info = error_info("RATE_LIMIT_EXCEEDED", metadata)
    response = error(429, "RESOURCE_EXHAUSTED", message, info, retry_after=retry_after)
    return Refusal("429 RATE_LIMIT_EXCEEDED", response)


def unauthenticated(reason: str) -> Refusal:
    """No access token (CREDENTIALS_MISSING), none of ours (ACCESS_TOKEN_TYPE_UNSUPPORTED), or ACCESS_TOKEN_EXPIRED."""
    missing = reason == "CREDENTIALS_MISSING"
    said = (
        "Request is missing required authentication credential. "
        if missing
        else ("Request had invalid authentication credentials. ")
    )
    info = error_info(
        reason, {"service": "fcm.googleapis.com", "method": "google.firebase.fcm.v1.FcmService.SendMessage"}
    )
    response = error(401, "UNAUTHENTICATED", said + _SEE, info)
    challenge = ("www-authenticate", 'Bearer realm="https://accounts.google.com/"')
    return Refusal(f"401 {reason}", response._replace(headers=(*response.headers, challenge)))


def forbidden(reason: str, message: str) -> Refusal:
    """A good access token that may not do this."""
    info = error_info(reason, {"service": "fcm.googleapis.com"})
    return Refusal(f"403 {reason}", error(403, "PERMISSION_DENIED", message, info))


def not_found(path: str) -> Refusal:
    """No such URL or method: a page of HTML."""
    said = f"<p>The requested URL <code>{html.escape(path)}</code> was not found on this server."
    page = "<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title>" + said
    headers = (("content-type", "text/html; charset=UTF-8"),)
    return Refusal("404", Respond(404, headers, page.encode()))


def fcm_error(code: str) -> dict[str, Any]:
    """The detail to classify on."""
    return {"@type": _FCM_ERROR, "errorCode": code}


def bad_request(*violations: Violation) -> dict[str, Any]:
    """The detail that names fields."""
    return {"@type": _RPC + "BadRequest", "fieldViolations": [violation._asdict() for violation in violations]}


def quota_failure() -> dict[str, Any]:
    """The detail that says which quota was exceeded."""
    return {
        "@type": _RPC + "QuotaFailure",
        "violations": [{"subject": "device", "description": "Device message rate exceeded"}],
    }


def error_info(reason: str, metadata: dict[str, str]) -> dict[str, Any]:
    """The detail of Google's own front."""
    return {"@type": _RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}
