"""Requests with a token that a vendor may refuse before it has to."""

from collections.abc import Awaitable, Callable
from typing import Final

from server.sdk.failures import ActionFailure
from server.sdk.http import HttpResponse

_REFUSED: Final = frozenset({"CREDENTIALS_REFUSED", "CREDENTIALS_EXPIRED"})


async def with_token(
    send: Callable[[str], Awaitable[HttpResponse]],
    token: Callable[[], Awaitable[str]],
    another: Callable[[str], Awaitable[str]],
) -> HttpResponse:
    """Makes a request; when the vendor refuses the token, once more with another one. Writes too: what is refused for
    its token was not processed.

    Args:
        send: Makes the request with a token; its failure is CREDENTIALS_REFUSED or CREDENTIALS_EXPIRED when the vendor
            refuses that.
        token: Returns the token at hand.
        another: Returns one in place of a token that was refused.

    Raises:
        ActionFailure: As the three.
    """
    first = await token()
    try:
        return await send(first)
    except ActionFailure as failure:
        if failure.failure.reason not in _REFUSED:
            raise
    return await send(await another(first))
