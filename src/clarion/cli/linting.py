"""`clarion lint`: what it reads, and how it looks at a file without a project."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from clarion.api import linting
from clarion.api.decoding import Reader
from clarion.api.schemas import LintBody
from clarion.cli.problem import Misuse, Problem
from clarion.errors import InvalidRequest
from clarion.model import Category, CategoryClass, Json, ProjectSettings

INPUT = "-"
_read = Reader[LintBody](LintBody).read


def asked(file: str | None, template: str | None) -> Json:
    """The body for `POST /v1/lint`.

    Raises:
        Misuse: neither a file nor a template, or both.
        Problem: the file cannot be read or is not a JSON object.
    """
    if (file is None) == (template is None):
        raise Misuse("What should be looked at?", "Give a FILE (or - for the input), or --template NAME.")
    if template is not None:
        return {"template": template}
    try:
        content = sys.stdin.buffer.read() if file == INPUT else Path(str(file)).read_bytes()
    except OSError as error:
        raise Problem(f"{file} cannot be read", str(error.strerror)) from None
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(f"{file} is not a message or a template", f"It must be a JSON object: {error}") from None


def alone(body: Json) -> Json:
    """The answer where no project is named: every rule warns, every category exists."""
    wanted = _read(msgspec.json.encode(body))
    if wanted.template is not None:
        raise InvalidRequest.field("template", "is in a project: name one with --server and --key, or with --data")
    name = wanted.category or "general"
    category = Category(name=name, class_=CategoryClass.INFORMATIONAL)
    answer = linting.lint(wanted, ProjectSettings(), {name: category}, {}, {"id": "", "name": ""})
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain


def should_not_be_sent(answer: Json) -> bool:
    """Whether a finding is an error, or one that the project does not let through."""
    return any(found["severity"] == "error" or found["blocks"] for found in answer["findings"])
