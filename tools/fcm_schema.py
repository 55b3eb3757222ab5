"""Writes the schema of FCM's messages from Google's own discovery document, in the few words that our simulator needs.

The document is shipped in the PyPI package google-api-python-client; a test compares the two.
"""
# ruff: noqa: INP001 - a script, not a package

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "src" / "clarion" / "testing" / "simulators" / "fcm_schema.json"
ROOT = "SendMessageRequest"


def schema() -> dict[str, dict[str, Any]]:
    """Every message type that a request can hold: its fields and their types."""
    folder = files("googleapiclient.discovery_cache") / "documents"
    schemas = json.loads((folder / "fcm.v1.json").read_text("utf-8"))["schemas"]
    found: dict[str, dict[str, Any]] = {}
    wanted = [ROOT]
    while wanted:
        name = wanted.pop()
        if name not in found:
            fields = schemas[name].get("properties", {})
            found[name] = {field: kind(told) for field, told in fields.items()}
            wanted += [ref for told in fields.values() for ref in references(told)]
    return dict(sorted(found.items()))


def kind(told: dict[str, Any]) -> Any:
    """A type: a scalar's name, `$Message`, the list of an enumeration's values, {"list": …} or {"map": …}."""
    if "$ref" in told:
        return "$" + told["$ref"]
    if "enum" in told:
        return told["enum"]
    if told["type"] == "array":
        return {"list": kind(told["items"])}
    if told["type"] == "object":
        return {"map": kind(told["additionalProperties"])}
    return told.get("format", told["type"])


def references(told: dict[str, Any]) -> list[str]:
    """The message types that a field refers to."""
    inner = told.get("items") or told.get("additionalProperties") or told
    return [inner["$ref"]] if "$ref" in inner else []


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
