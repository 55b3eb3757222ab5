"""The few pages that the API shows to people: plain HTML under a policy that allows nothing but its own style."""

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

from litestar import Response
from minijinja import Environment

from clarion.api.http import HTML_TYPE, PLAIN_HEADERS, Answer

_FOLDER = Path(__file__).parent / "pages"


class Pages:
    """Renders `pages/*.html`; values are escaped."""

    def __init__(self, *sheets: str) -> None:
        """`sheets`: the files of its style, one after the other."""
        self._style = "".join((_FOLDER / sheet).read_text("utf-8") for sheet in sheets or ("style.css",))
        digest = b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        self._headers = (
            (b"content-type", HTML_TYPE),
            (b"content-security-policy", policy.encode()),
            (b"referrer-policy", b"no-referrer"),
            *PLAIN_HEADERS,
        )
        self._env = Environment()
        for path in sorted(_FOLDER.glob("*.html")):
            self._env.add_template(path.name, path.read_text("utf-8"))

    def render(self, name: str, status: int = 200, **values: Any) -> Answer:
        """The page."""
        return Answer(status, self._env.render_template(name, style=self._style, **values).encode(), self._headers)


def as_response(answer: Answer) -> Response[bytes]:
    """An answer as Litestar sends it."""
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=headers.pop("content-type"))
