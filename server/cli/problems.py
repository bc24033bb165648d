"""What ends a command before or beside the server's own answers."""

from server.cli.exits import ExitCode


class Problem(Exception):
    """Something that a person can put right.

    Args:
        message: What is wrong and what to do.
        code: Exit code.
        detail: Lines to show below the message as they are, such as the place in a text.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.BAD_INPUT, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail


def expect(held: object, what: str) -> None:
    """Ends the demo when something is not as it has to be."""
    if not held:
        raise deviation(what)


def deviation(what: str) -> Problem:
    """Returns the error that ends the demo."""
    return Problem(f"the demo deviated: {what}", ExitCode.ACTION_FAILED)
