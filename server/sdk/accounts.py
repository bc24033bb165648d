"""Whose account at a vendor is whose (table `user_auth_accounts`), as modules see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from server.errors import PatchbayError

MICROSOFT: Final = "microsoft"
"""The identity provider Microsoft Entra; its ids of people are object ids."""


class AccountIdInvalid(PatchbayError):
    """The text is no id of an account at the provider. The message says what one looks like."""


def account_id_of(provider: str, text: str) -> str:
    """Returns the id of an account in the one spelling in which it is stored and compared.

    Raises:
        AccountIdInvalid: It is none: an address or a login name does not identify a person for good.
    """
    if provider != MICROSOFT:
        return text
    try:
        if len(text) == len("00000000-0000-0000-0000-000000000000"):
            return str(UUID(text))
    except ValueError:
        pass
    raise AccountIdInvalid("must be the object id (UUID) of the person in Entra, not an address or a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user's account at an identity provider.

    Attributes:
        user_id: Our id of the user, as the system that calls us knows them.
        account_id: The provider's unchanging id of the person, such as the Entra object id.
        email: Address as the provider told it when the account was linked. None: not told.
        name: Name as the provider, or our directory, told it then. None: not told.
    """

    user_id: str
    account_id: str
    email: str | None = None
    name: str | None = None


class AccountBook(Protocol):
    """The linked accounts of one tenant. `provider` is the identity provider, such as `microsoft`."""

    async def of_user(self, provider: str, user_id: str) -> Account | None:
        """Returns a user's account; None when none is linked."""

    async def listed(self, provider: str, *, query: str = "", limit: int) -> Sequence[Account]:
        """Returns accounts by name whose user, name or address contains a text, in any case."""

    async def link(self, provider: str, account: Account) -> None:
        """Links a user to an account, in place of the one that was linked before.

        Raises:
            AccountIdInvalid: The account's id is none of the provider's.
        """
