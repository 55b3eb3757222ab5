"""The OpenAPI document: paths and parameters as the framework routes them, shapes as msgspec reads and writes them.

The bare routes stand in it like the others, and every operation names the errors that it can end in.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

import clarion
from clarion.api.auth import SCOPES
from clarion.api.door import Access
from clarion.api.examples import BODIES
from clarion.api.plain import PlainRoute
from clarion.api.problems import KINDS, Problem
from clarion.model import Json

_REF = "#/components/schemas/{name}"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_DESCRIPTION = (
    "Push notifications: the way from an event on a server to the tap on a locked phone, and back. "
    "JSON in UTF-8; times in RFC 3339 with a zone; null in an optional field equals leaving it out; "
    "unknown fields are refused by name. Errors are problem documents (RFC 9457) with a stable code."
)
_ERROR_CODES = {
    400: ("invalid_request",),
    401: ("unauthenticated",),
    403: ("forbidden",),
    404: ("not_found",),
    409: ("conflict", "idempotency_in_progress"),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: ("idempotency_mismatch",),
    429: ("rate_limited",),
    500: ("internal",),
    503: ("unavailable",),
}
_BODILESS = 204


class Operation(NamedTuple):
    """One method of one path, before it is written down. `answers`: a type by status; a text is a media type."""

    path: str
    method: str
    name: str
    words: str
    tags: list[str]
    access: Access | None
    body: Any
    answers: Mapping[int, Any]
    parameters: list[Json]
    of_person: bool


def document(app: Litestar, plain: Iterable[PlainRoute], origin: str) -> Json:
    """The whole document."""
    operations = [*_framework_operations(app), *_plain_operations(plain)]
    types = {id(type_): type_ for one in operations for type_ in _types(one)}
    found, components = msgspec.json.schema_components([*types.values(), Problem], ref_template=_REF)
    schemas = dict(zip(types, found, strict=False))
    paths: dict[str, Json] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = _written(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Clarion", "version": clarion.__version__, "description": _DESCRIPTION},
        "servers": [{"url": origin}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {_problem_name(status): _problem(status, origin) for status in _ERROR_CODES},
            "securitySchemes": _SECURITY,
        },
    }


# --- finding the operations ------------------------------------------------------------------------------------------


def _framework_operations(app: Litestar) -> Iterator[Operation]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if handler.resolve_include_in_schema():
                yield from (_of_handler(route.path_format, method.lower(), handler) for method in handler.http_methods)


def _of_handler(path: str, method: str, handler: HTTPRouteHandler) -> Operation:
    data = handler.parsed_data_field
    signature = handler.parsed_fn_signature.parameters
    specs = {status: spec.data_container for status, spec in (handler.responses or {}).items()}
    return Operation(
        path=path,
        method=method,
        name=handler.handler_name,
        words=inspect.getdoc(handler.fn) or "",
        tags=sorted(handler.resolve_tags()),
        access=handler.opt.get("access"),
        body=None if data is None else _shapes(data.annotation),
        answers={handler.status_code: _answer_type(handler)} | specs,
        parameters=[one for name, field in signature.items() for one in _parameters(name, field)],
        of_person="visitor" in signature,
    )


def _parameters(name: str, field: FieldDefinition) -> Iterator[Json]:
    """How a handler's argument is told, if it comes from path or query."""
    told = field.kwarg_definition
    if not isinstance(told, PathParameter | QueryParameter):
        return
    limits = {
        "minLength": told.min_length,
        "maxLength": told.max_length,
        "minimum": told.ge,
        "maximum": told.le,
        "default": field.default if field.has_default else None,
    }
    in_path = isinstance(told, PathParameter)
    schema = {"type": "integer" if field.annotation is int else "string"} | dict(told.schema_extra or {})
    yield {
        "name": told.name or name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "description": told.description or "",
        "schema": schema | {word: limit for word, limit in limits.items() if limit is not None},
    }


def _shapes(type_: Any) -> Any:
    """Two structs without a tag are one thing or many of it; msgspec has no schema for the pair."""
    parts = get_args(type_)
    return parts if parts and all(part.__struct_config__.tag is None for part in parts) else type_


def _answer_type(handler: HTTPRouteHandler) -> Any:
    media = str(handler.media_type or "")
    if media.startswith("text/"):
        return media
    annotation = handler.parsed_fn_signature.return_type.raw
    if get_origin(annotation) is Response:
        annotation = get_args(annotation)[0]
    return None if annotation is type(None) else annotation


def _plain_operations(routes: Iterable[PlainRoute]) -> Iterator[Operation]:
    for route in routes:
        told = route.described
        yield Operation(
            path=route.path,
            method="post",
            name=told.name,
            words=told.summary,
            tags=[told.tag],
            access=route.access,
            body=told.body,
            answers=told.answers,
            parameters=[],
            of_person=route.access.key == "public",
        )


# --- writing them down -----------------------------------------------------------------------------------------------


def _types(one: Operation) -> Iterator[Any]:
    bodies = one.body if isinstance(one.body, tuple) else (one.body,)
    yield from (body for body in bodies if body is not None)
    yield from (answer for answer in one.answers.values() if answer is not None and not isinstance(answer, str))


def _written(one: Operation, schemas: Mapping[int, Json]) -> Json:
    written: Json = {
        "operationId": one.name,
        "tags": one.tags,
        **_words(one.words),
        "parameters": [*one.parameters, *_header_parameters(one)],
        "responses": {str(status): response for status, response in sorted(_responses(one, schemas).items())},
        "security": _security(one.access),
    }
    if one.body is not None:
        written["requestBody"] = {"required": True, "content": {_JSON: _body(one, schemas)}}
    return written


def _words(text: str) -> Json:
    """Summary and description: the first paragraph of a handler's contract, and the rest."""
    first, _, rest = text.partition("\n\n")
    return {"summary": " ".join(first.split()), **({"description": " ".join(rest.split())} if rest else {})}


def _body(one: Operation, schemas: Mapping[int, Json]) -> Json:
    shapes = one.body if isinstance(one.body, tuple) else (one.body,)
    found = [schemas[id(shape)] for shape in shapes]
    schema = found[0] if len(found) == 1 else {"oneOf": found}
    return {"schema": schema, "examples": {"example": {"value": BODIES[one.name]}}}


def _responses(one: Operation, schemas: Mapping[int, Json]) -> dict[int, Json]:
    responses: dict[int, Json] = {}
    for status, answer in one.answers.items():
        response: Json = {"description": _GOOD.get(status, "Done")}
        if isinstance(answer, str):
            response["content"] = {answer: {"schema": {"type": "string"}}}
        elif answer is not None and status != _BODILESS:
            response["content"] = {_JSON: {"schema": schemas[id(answer)]}}
        if one.access is not None and one.access.creates:
            response["headers"] = {"Idempotency-Replayed": {"schema": {"const": "true"}}}
        responses[status] = response
    for status in _possible_errors(one):
        responses[status] = {"$ref": f"#/components/responses/{_problem_name(status)}"}
    return responses


_GOOD = {200: "Done", 201: "Created", 202: "Accepted, and on disk", 204: "Done; nothing to say"}


def _possible_errors(one: Operation) -> set[int]:
    found = {400, 500}
    if "{" in one.path:
        found.add(404)
    if one.body is not None:
        found |= {413, 415}
    access = one.access
    if access is None:
        return found | {503} if one.path == "/healthz" else found
    found.add(503)
    if access.key is not None:
        found |= {401, 403}
    if access.key != "server" or access.bounded:
        found.add(429)
    if access.creates:
        found |= {409, 422}
    if one.method == "post":
        found.add(413)
    return found


def _header_parameters(one: Operation) -> Iterator[Json]:
    if one.access is None:
        return
    if one.access.creates:
        yield _header(
            "Idempotency-Key",
            "Makes it safe to repeat the request for want of an answer; remembered for a day.",
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        )
    if one.of_person:
        yield _header(
            "Clarion-User",
            "A signed user token, the user_token of an anonymous device, or a plain user id where that is allowed.",
            {"type": "string"},
        )
    if one.name == "register_own_device":
        yield _header(
            "Clarion-Anonymous", "At a login: the user_token of the anonymous user that merges.", {"type": "string"}
        )


def _header(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _security(access: Access | None) -> list[Json]:
    if access is None or access.key is None:
        return []
    return [{"serverKey": [access.scope]}] if access.key == "server" else [{"publicKey": []}]


_SECURITY = {
    "serverKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A server key, sk_…. Scopes: " + "; ".join(f"`{name}` {what}" for name, what in SCOPES.items()),
    },
    "publicKey": {"type": "http", "scheme": "bearer", "description": "A public key, pk_…, for SDKs."},
}


def _problem_name(status: int) -> str:
    return "".join(word.title() for word in _ERROR_CODES[status][0].split("_"))


def _problem(status: int, origin: str) -> Json:
    kinds = [KINDS[code] for code in _ERROR_CODES[status]]
    response: Json = {
        "description": " / ".join(f"{kind.title} (`{kind.code}`)" for kind in kinds),
        "content": {
            _PROBLEM: {
                "schema": {"$ref": _REF.format(name="Problem")},
                "examples": {kind.code: {"value": _example(kind.code, origin)} for kind in kinds},
            }
        },
    }
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return response


def _example(code: str, origin: str) -> Json:
    kind = KINDS[code]
    wrong = [{"field": "to", "message": "is required"}] if code == "invalid_request" else []
    return {
        "type": f"{origin}/errors/{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": "to: is required" if wrong else kind.title,
        "errors": wrong,
    }
