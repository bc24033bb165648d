"""What a vendor's refusals mean, as a table: the general reading of a status is for what the table leaves out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.sdk.failures import ActionFailure, FailureCategory
from server.sdk.http import HttpResponse
from server.sdk.http.call import ReadError
from server.sdk.reading import text
from server.sdk.rows import Where, read_from


@dataclass(frozen=True, slots=True)
class Meaning:
    """One refusal: which answers it is, and the failure that it means.

    Attributes:
        reason: As of ActionFailure, and so are `message`, `remedy`, `category` and `field`.
        status: HTTP status. 0: any.
        code: Regular expression for the vendor's whole code, which is empty when there is none. None: whatever it is.
        said: Words that stand in the body.
        wrote: The request may have changed something.
        retry_after: Seconds to wait when the vendor does not say how long.
    """

    reason: str
    message: str
    status: int = 0
    code: str | None = None
    said: str = ""
    wrote: bool = False
    remedy: str | None = None
    category: FailureCategory.ValueType | None = None
    field: str = ""
    retry_after: float | None = None

    def fits(self, response: HttpResponse, code: str) -> bool:
        """Says whether an answer is this refusal."""
        return (
            self.status in {0, response.status}
            and (self.code is None or re.fullmatch(self.code, code) is not None)
            and self.said in response.text
            and (response.request_wrote or not self.wrote)
        )

    def failure(self, response: HttpResponse) -> ActionFailure:
        """Returns what the answer means."""
        wait = self.retry_after if response.retry_after is None else response.retry_after
        return ActionFailure(
            self.reason, self.message, category=self.category, remedy=self.remedy, field=self.field, retry_after=wait
        )


def meanings(*known: Meaning, code: Where = ()) -> ReadError:
    """Returns what reads a vendor's refusals, for `bind`: the first meaning that fits counts.

    Args:
        known: The meanings.
        code: Where an error's body has the vendor's code.
    """
    read_code = read_from(code, text)

    def read(response: HttpResponse) -> ActionFailure | None:
        told = read_code(_body(response)) or ""
        return next((one.failure(response) for one in known if one.fits(response, told)), None)

    return read


def _body(response: HttpResponse) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ActionFailure:
        return {}
    return body if isinstance(body, dict) else {}
