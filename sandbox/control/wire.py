"""What simulators that answer with Starlette's responses share: refusals, and what a request holds."""

from urllib.parse import parse_qsl

from starlette.responses import Response


class Refused(Exception):  # an answer that cuts the handler short
    """Carries the answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Sent:
    """A request's query and body, read as fields."""

    __slots__ = ()

    raw_query: bytes
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of repeated ones the last."""
        return _fields(self.raw_query.decode("latin-1"))

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return _fields(self.body.decode("utf-8", "replace"))


def _fields(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))
