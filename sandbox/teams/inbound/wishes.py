"""What a test may ask the vendor to send."""

from dataclasses import dataclass, field
from typing import Any, Literal

Event = Literal["install", "uninstall", "upgrade", "message", "team", "raw"]


@dataclass(slots=True, kw_only=True)
class TokenWish:
    """How the token is made.

    Attributes:
        header: Whether the request has one at all.
        claims: Laid over the claims; null leaves a claim out.
        expires_in: Seconds from now until it ends; may be negative.
        kid: Name of the key in its header, when not the real one's.
        key: Which key signs; foreign: one that is published nowhere, under the current one's name.
        algorithm: none: without a signature; HS256: signed with what is public of the current key.
        tampered: Whether a claim is changed after signing.
    """

    header: bool = True
    claims: dict[str, Any] = field(default_factory=dict)
    expires_in: float = 3600
    kid: str = ""
    key: Literal["current", "retired", "foreign"] = "current"
    algorithm: Literal["RS256", "HS256", "none"] = "RS256"
    tampered: bool = False


@dataclass(slots=True, kw_only=True)
class Wish:
    """One event, sent as one or two activities.

    Attributes:
        bot_url: Where the bot listens, on loopback.
        event: install and uninstall change the world too; a message of a user ends the user's block.
        app_id: The bot; empty: the first one.
        user: Object id, id of the channel or UPN; the sender, and for a chat the other side. Empty: the first one.
        team: Id of the team; empty: a chat.
        channel: Id of the channel; empty: General.
        text: Of a message.
        thread: Message that begins the thread of a message in a channel.
        event_type: `channelData.eventType` of `team`, for example `channelRenamed`.
        sparse: Whether `conversationUpdate` names no Entra object id of its sender.
        service_url: In place of the simulator's own; stands in the activity and in the token.
        changes: Laid over each activity, nested objects too; null leaves a field out.
        activity: The whole activity of `raw`.
        times: How often all of it is sent; every time with the same tokens and ids.
    """

    bot_url: str
    event: Event = "message"
    app_id: str = ""
    user: str = ""
    team: str = ""
    channel: str = ""
    text: str = "hello"
    thread: str = ""
    event_type: str = ""
    sparse: bool = False
    service_url: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    activity: dict[str, Any] = field(default_factory=dict)
    token: TokenWish = field(default_factory=TokenWish)
    times: int = 1


@dataclass(slots=True, kw_only=True)
class SigningWish:
    """A token alone. `service_url` is needed unless the claims bring their own."""

    app_id: str = ""
    service_url: str = ""
    cloud: Literal["public", "gcc", "gcch", "dod", "china"] = "public"
    token: TokenWish = field(default_factory=TokenWish)
