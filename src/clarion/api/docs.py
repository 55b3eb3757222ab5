"""The OpenAPI document as a page for people, rendered here: no script, nothing from other servers."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from clarion.api.auth import SCOPES
from clarion.model import Json

_REFERENCE = re.compile(r"#/components/schemas/(\w+)")


def view(document: Json) -> Json:
    """What `pages/docs.html` shows."""
    groups: dict[str, list[Json]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_call(path, method, operation, document))
    return {
        "api": document["info"],
        "groups": [{"tag": tag, "anchor": _anchor(tag), "calls": calls} for tag, calls in groups.items()],
        "shapes": [_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())],
    }


def _call(path: str, method: str, operation: Json, document: Json) -> Json:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "id": operation["operationId"],
        "path": path,
        "method": method.upper(),
        "summary": operation["summary"].replace("`", ""),
        "description": operation.get("description", "").replace("`", ""),
        "access": _access(operation["security"]),
        "parameters": [_parameter(one) for one in operation["parameters"]],
        "bodies": list(_names(body.get("schema"))),
        "example": _json(body["examples"]["example"]["value"]) if body else "",
        "answers": [_answer(status, one, document) for status, one in operation["responses"].items()],
    }


def _parameter(one: Json) -> Json:
    needed = "required" if one.get("required") else "optional"
    words = one.get("description") or one.get("schema", {}).get("description") or ""
    return {"name": one["name"], "place": f"{one['in']}, {needed}", "what": words.replace("`", "")}


def _answer(status: str, response: Json, document: Json) -> Json:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    shapes = [name for content in response.get("content", {}).values() for name in _names(content.get("schema"))]
    return {"status": status, "what": response["description"].replace("`", ""), "shapes": shapes}


def _access(security: list[Json]) -> str:
    if not security:
        return "Needs no key."
    if "publicKey" in security[0]:
        return "Needs a public key (pk_…)."
    scope = security[0]["serverKey"][0]
    return f"Needs a server key (sk_…) with the scope {scope}: {SCOPES[scope]}."


def _names(schema: Any) -> Iterator[str]:
    """The shapes that a schema names, each once."""
    yield from dict.fromkeys(_REFERENCE.findall(_json(schema or {})))


def _shape(name: str, schema: Json) -> Json:
    return {"name": name, "description": str(schema.get("description", "")).split("\n\n")[0], "json": _json(schema)}


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _anchor(tag: str) -> str:
    return re.sub(r"[^a-z]+", "-", tag.lower())
