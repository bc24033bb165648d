"""Records of the simulated world; the seed file has the same fields."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.teams.clouds import CloudName

NOTIFY = "TeamsActivity.Send"
INSTALL = "TeamsAppInstallation.ReadWriteSelfForUser.All"
READ_USERS = "User.Read.All"


@dataclass(slots=True, kw_only=True)
class Settings:
    """Switches of the vendor, most of them where its behaviour changes or is not known.

    Attributes:
        clock: Unix time that the vendor believes in. None: the real one. Tokens that bots receive go by the real one.
        bot_token_seconds, graph_token_seconds: Lives of access tokens.
        expires_in_as_text: Whether `expires_in` is a text, as the old endpoint's was.
        limits: Whether requests are counted.
        regions: Whether the path of a connector must be the directory's (or a global one). redirected: as strict, told
            in the words of a directory that moved.
        send_answer: A plain send is answered by 201 with an id, or by 202 without a body.
        too_large: Form of the 413.
        blocked_answer: How a block by the user is told: by its code, by the older inner code, or without a body.
        private_answer: Code of the 403 for private channels, which no source names.
        list_private: Whether a team's conversations include private channels.
        notify_status: Status of an accepted notification.
        install_order: Which of the two events of an installation comes first.
        endorsements: Channels that a signing key is endorsed for. None: the key does not say.
    """

    clock: float | None = None
    bot_token_seconds: int = 86399
    graph_token_seconds: int = 3599
    expires_in_as_text: bool = False
    limits: bool = True
    regions: Literal["strict", "redirected", "any"] = "strict"
    send_answer: Literal["created", "accepted"] = "created"
    too_large: Literal["json", "html"] = "json"
    blocked_answer: Literal["code", "subcode", "empty"] = "code"
    private_answer: str = "NotEnoughPermissions"
    list_private: bool = False
    notify_status: Literal[204, 202] = 204
    install_order: Literal["random", "installation_first", "conversation_first"] = "random"
    endorsements: list[str] | None = field(default_factory=lambda: ["msteams"])


@dataclass(slots=True, kw_only=True)
class Directory:
    """An Entra directory ("tenant" in Microsoft's words).

    Attributes:
        domain: Its other name at the login endpoint.
        region: Path of its connector; in clouds other than the public one it stands for the host.
    """

    id: str
    name: str
    domain: str = ""
    cloud: CloudName = "public"
    region: str = "emea"


@dataclass(slots=True, kw_only=True)
class Bot:
    """A bot and its Entra application.

    Attributes:
        kind: single: tokens come from its own directory; legacy: from the directory of all bots.
        directory: Where it is registered.
        directories: Others that know the application.
        roles: Permissions that an administrator granted for Graph.
        registered: Whether the connector knows the bot.
        disabled_in: Directories whose administrator has disabled it.
    """

    app_id: str
    name: str
    directory: str
    kind: Literal["single", "legacy"] = "single"
    directories: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: [NOTIFY, INSTALL, READ_USERS])
    secret_expired: bool = False
    registered: bool = True
    disabled_in: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class TeamsApp:
    """An app of the catalog, with what its manifest says.

    Attributes:
        id: Catalog id.
        external_id: Manifest id.
        bot: Application id of its bot, also its `webApplicationInfo.id`.
        activities: Templates by activity type.
        scopes: The bot's scopes.
        may_notify: Whether the manifest holds the permission `TeamsActivity.Send.User`.
    """

    id: str
    external_id: str
    name: str
    bot: str
    activities: dict[str, str] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=lambda: ["personal", "team", "groupChat"])
    may_notify: bool = False


@dataclass(slots=True, kw_only=True)
class User:
    """A person. `channel_id` is what bots know the person by."""

    id: str
    directory: str
    upn: str
    name: str
    channel_id: str
    given_name: str = ""
    surname: str = ""


@dataclass(slots=True, kw_only=True)
class Team:
    """A team; `id` is also the id of its General channel."""

    id: str
    directory: str
    name: str
    aad_group_id: str
    members: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel of a team. General has no name."""

    id: str
    team: str
    name: str = ""
    type: Literal["standard", "private", "shared"] = "standard"


@dataclass(slots=True, kw_only=True)
class Installation:
    """An app that is installed for a user or in a team."""

    id: str
    app: str
    user: str = ""
    team: str = ""


@dataclass(slots=True, kw_only=True)
class Conversation:
    """The chat of a user and a bot."""

    id: str
    bot: str
    user: str
    blocked: bool = False


@dataclass(slots=True, kw_only=True)
class Message:
    """A message that somebody can see.

    Attributes:
        conversation: Id of the chat or channel.
        root: Id of the message that begins its thread; empty outside channels and for that message itself.
        activity: As it was sent, text and attachments apart.
    """

    id: str
    conversation: str
    root: str
    bot: str
    activity: dict[str, Any]
    deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Notification:
    """An item of a user's activity feed; `times` tells how often its chain was sent."""

    user: str
    bot: str
    app: str
    body: dict[str, Any]
    chain_id: int | None = None
    times: int = 1
