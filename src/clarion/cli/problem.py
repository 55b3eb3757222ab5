"""What went wrong, as the person at the terminal reads it: never a stack trace for what we foresaw."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from clarion.errors import ClarionError, FieldError


class Problem(Exception):
    """An end with words: a title, what is wrong, and the fields with what would be right."""

    def __init__(self, title: str, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.errors = errors

    exit_code = 1

    @classmethod
    def of(cls, error: ClarionError) -> "Problem":
        """An error of ours, which need not have gone over HTTP."""
        return cls(error.title, str(error), error.errors)


class Misuse(Problem):
    """The command itself is wrong, whatever it would have met."""

    exit_code = 2


def show(problem: Problem) -> None:
    """On the error channel, so that what is piped stays clean."""
    console = Console(stderr=True, highlight=False)
    console.print(Text.assemble(("✗ ", "bold red"), (problem.title, "bold red")))
    for field, message in problem.errors:
        console.print(Text.assemble("  ", (field, "bold"), (": ", "dim"), message))
    if problem.detail and not problem.errors:
        console.print(Text("  " + problem.detail))
