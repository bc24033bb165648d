"""One request before it is made."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from server.sdk.failures import ActionFailure
from server.sdk.http.response import HttpResponse

ReadError = Callable[[HttpResponse], ActionFailure | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to send and how to judge the answer.

    Attributes:
        method: Upper case.
        url: With an origin that was checked.
        host: For messages.
        headers: Names in lower case.
        content: Body; None for none.
        writes: Whether it may change something at the vendor.
        timeout: Seconds for all attempts together, without waiting for the budget; None: the execution's deadline.
        ok: Statuses that are returned to the module.
        no_effect: Statuses with which the vendor says that it did nothing; after them even a write is made again.
        read_error: The module's own reading of other statuses.
        max_bytes: Largest accepted answer.
        about: Input field that names what is asked about, for NOT_FOUND.
    """

    method: str
    url: str = field(repr=False)
    host: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    writes: bool
    timeout: float | None
    ok: Container[int]
    no_effect: Container[int]
    read_error: ReadError | None
    max_bytes: int
    about: str = ""
