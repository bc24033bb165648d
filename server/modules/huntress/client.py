"""The endpoints of the Huntress REST API v1 that Patchbay uses, as a small library.

Facts: the vendor's published description of July 2026, and clients in use. Single things stand under their name,
though not in every client's experience; both forms are read. `next_page_url` is never followed.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from server.gen.patchbay.modules.huntress.v1.huntress_pb2 import HuntressConnection
from server.sdk import ConnectionScope, FailureCategory
from server.sdk.addresses import address_or
from server.sdk.meanings import Meaning, meanings
from server.sdk.paging import Row, any_row, walked
from server.sdk.reading import an_object, objects, text

_PAGE: Final = 500
_SECONDS: Final = 30.0
_BREATHER: Final = 10.0  # seconds to wait on 429, which comes without Retry-After
_read_error: Final = meanings(
    Meaning(
        "USER_KEY_REQUIRED",
        "Huntress lets this key only read.",
        status=403,
        wrote=True,
        category=FailureCategory.FAILURE_CATEGORY_PERMISSION,
    ),
    Meaning("NOT_FOUND", "Huntress has no such object, or the key may not see it.", status=404),
    Meaning("RATE_LIMITED", "Huntress allows 60 requests a minute.", status=429, retry_after=_BREATHER),
)


class HuntressClient:
    """One account with one key.

    Args:
        scope: The connection; sends nothing yet.
    """

    instance_url = staticmethod(address_or("https://api.huntress.io"))

    def __init__(self, scope: ConnectionScope[HuntressConnection]) -> None:
        login = f"{scope.settings.api_key}:{scope.settings.api_secret}".encode()
        headers = {"authorization": f"Basic {b64encode(login).decode()}"}
        self._http = scope.http.bind(
            base_url=f"{self.instance_url(scope.settings)}/v1", headers=headers, read_error=_read_error
        )

    async def check(self) -> None:
        """Proves the key by reading its account. Whether it may write as well is not asked: reading is enough for most
        actions. Raises ActionFailure when it is not accepted."""
        await self.one("account")

    async def one(self, name: str, id: str = "", *, about: str = "") -> Row:
        """Returns a thing by the singular of its path: `account`, `actor`, `agent`, `incident_report`."""
        path = f"/{name}s/{id}" if id else f"/{name}"
        return an_object(await self._http.request("GET", path, timeout=_SECONDS, about=about), name)

    async def many(
        self, path: str, params: Mapping[str, Any], most: int, wanted: Callable[[Row], bool] = any_row
    ) -> list[Row]:
        """Returns the first `most` rows of a list that are wanted; the path's last part names it."""
        size = _PAGE if wanted is not any_row else min(_PAGE, most)

        async def page(token: str | None) -> tuple[list[dict[str, Any]], str | None]:
            asked = {**params, "limit": size, "page_token": token}
            response = await self._http.request("GET", path, params=asked, timeout=_SECONDS)
            further = an_object(response, "pagination").get("next_page_token")
            return objects(response, path.rpartition("/")[2]), text(further)

        return await walked(page, most, wanted)

    async def resolve(self, incident_id: str) -> Row:
        """Closes an incident report and returns it.

        Raises:
            ActionFailure: USER_KEY_REQUIRED; CONFLICT or VENDOR_REJECTED_INPUT when the report is not ready.
            OutcomeUnknown: The request went out and no usable answer came.
        """
        path = f"/incident_reports/{incident_id}/resolution"
        response = await self._http.request("POST", path, timeout=_SECONDS, about="incident_id")
        return an_object(response, "incident_report")
