"""Forms that come back from our own pages."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from clarion.dashboard.session import FORM_FIELD, Visit, check_form
from clarion.errors import InvalidRequest
from clarion.web.http import Request

MAX_FORM = 1024 * 1024
_MOST_FIELDS = 200


async def fields_of(request: Request, limit: int = MAX_FORM) -> dict[str, str]:
    """The fields of a form; of one that is there twice the last.

    Raises:
        InvalidRequest: it is no form in UTF-8.
        TooLarge: more than `limit` bytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest.field("Content-Type", "must be application/x-www-form-urlencoded")
    try:
        text = (await request.body(limit)).decode("ascii")
        fields = dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise InvalidRequest("this is no form that one of our pages sends") from None
    if any("\0" in value for value in fields.values()):
        raise InvalidRequest("a form cannot have the character U+0000")
    return fields


async def posted(visit: Visit) -> Mapping[str, str]:
    """The fields of a form that was on a page of this session. Raises Forbidden for one that was not."""
    fields = await fields_of(visit.request)
    check_form(visit.services, visit.request, fields.get(FORM_FIELD, ""), visit.session.salt)
    return fields
