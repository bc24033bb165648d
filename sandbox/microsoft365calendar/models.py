"""What there is in the simulated world."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class Person:
    """Somebody in the directory.

    Attributes:
        id: Entra object id.
        upn: Address with which they sign in.
        mailbox: `exchange`: theirs; `none`: no licence; `blocked`: an access policy keeps the app out.
        calendars: Ids of calendars beside the default one.
    """

    id: str
    upn: str
    mailbox: Literal["exchange", "none", "blocked"] = "exchange"
    calendars: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Settings:
    """How the services behave where that is not known, or differs.

    Attributes:
        duplicate_status: Status of the refusal of a `transactionId` that was used for other content.
        tells_existing: Whether that refusal names the event that exists.
        remembers_deleted: Whether a `transactionId` stays used when its event was deleted.
        remembers: Whether a `transactionId` is remembered at all.
        may_write: Whether the app has the role `Calendars.ReadWrite`.
        secret_expired: Whether the client secret has expired.
        token_seconds: How long tokens live.
    """

    duplicate_status: int = 400
    tells_existing: bool = True
    remembers_deleted: bool = True
    remembers: bool = True
    may_write: bool = True
    secret_expired: bool = False
    token_seconds: int = 3599


@dataclass(slots=True)
class Stored:
    """An event in a mailbox.

    Attributes:
        owner: Id of the person.
        calendar: Id of the calendar; empty: the default one.
        posted: The body that made it.
        content: What it is now.
        marks: Extended properties by id.
        cut: Days of a series, in its zone, whose instances were deleted.
    """

    id: str
    owner: str
    calendar: str
    created: str
    posted: dict[str, Any]
    content: dict[str, Any]
    marks: dict[str, str]
    cut: list[str] = field(default_factory=list)
