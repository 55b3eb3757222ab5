"""What is not even HTTP is answered with a problem document too, instead of uvicorn's plain text."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clarion.api.problems import Problems
from clarion.errors import InvalidRequest


def protocol_of(origin: str) -> type[HttpToolsProtocol]:
    """For `uvicorn.Config(http=…)`. `origin`: where the pages about errors are."""
    answer = Problems(origin).answer(InvalidRequest("this is not a request in HTTP/1.1 that we can read"))
    length = (b"content-length", str(len(answer.body)).encode())
    lines = [b"%b: %b\r\n" % header for header in (*answer.headers, length, (b"connection", b"close"))]
    response = b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])

    class ProblemProtocol(HttpToolsProtocol):
        """Uvicorn's own, but for this answer."""

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the same words for everybody
            self.transport.write(response)
            self.transport.close()

    return ProblemProtocol
