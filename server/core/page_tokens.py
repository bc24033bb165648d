"""Tokens of pages: the place of the last row in the order of a list, for the caller to hand back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from server.core.refusals import FieldViolation, Refusal

T = TypeVar("T")


def page_token(*place: str) -> str:
    """Returns the token of a place, given by texts."""
    return urlsafe_b64encode("\0".join(place).encode()).decode()


def read_page_token(token: str, read: Callable[[Sequence[str]], T]) -> T | None:
    """Returns the place of a token; None for the empty one, which asks for the first page.

    Args:
        token: What the caller handed back.
        read: Makes the place of its texts; raises ValueError when they are none.

    Raises:
        Refusal: INPUT_INVALID, the token is none.
    """
    if not token:
        return None
    try:
        return read(urlsafe_b64decode(token.encode()).decode().split("\0"))
    except ValueError:
        violation = FieldViolation("page_token", "must be a token from the answer before")
        raise Refusal("INPUT_INVALID", "The page token is not valid.", violations=[violation]) from None
