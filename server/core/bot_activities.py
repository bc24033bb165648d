"""What an activity of a Teams bot changes in the book of conversations. Pure: nothing is verified or stored here.

Facts: subscribe-to-conversation-events.md of MicrosoftDocs/msteams-docs @ 011f445.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.sdk.conversations import CHANNEL, GROUP_CHAT, PERSONAL, ConversationReference

_KINDS: Final = frozenset({PERSONAL, GROUP_CHAT, CHANNEL})
_LONGEST: Final = 500
_TEAM_ENDS: Final = frozenset({"teamDeleted", "teamHardDeleted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BotConnection:
    """A Teams connection that a bot serves.

    Attributes:
        tenant: Id of the tenant.
        cloud: Microsoft's cloud: `public`, `gcc`, `gcc_high`, `dod` or `china`.
        simulated_url: Bot Connector of a simulator, which stands for the cloud's. Empty: there is none.
    """

    tenant: str
    cloud: str
    simulated_url: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A conversation to be stored."""

    reference: ConversationReference


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A conversation that ended."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class TeamForgotten:
    """A team that the bot has left."""

    team_id: str


@dataclass(frozen=True, slots=True)
class TeamRenamed:
    """A team that has another name."""

    team_id: str
    name: str


Change = Remembered | Forgotten | TeamForgotten | TeamRenamed


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells activities apart.

    Attributes:
        name: Digest of kind, conversation and id; of everything, where there is no id.
        content: Digest of everything, as it was sent.
    """

    name: bytes
    content: bytes


def mark_of(activity: Mapping[str, Any], body: bytes) -> Mark:
    """Returns the mark of an activity that came as `body`."""
    content = hashlib.sha256(body).digest()
    if not (id := _text(activity.get("id"))):
        return Mark(content, content)
    named = [_text(activity.get("type")), _text(_inner(activity, "conversation").get("id")), id]
    return Mark(hashlib.sha256(json.dumps(named).encode()).digest(), content)


def directory_of(activity: Mapping[str, Any]) -> str:
    """Returns the Microsoft directory that an activity names in either place; empty when none, or two, are named."""
    named = {
        _text(_inner(activity, "channelData", "tenant").get("id")).lower(),
        _text(_inner(activity, "conversation").get("tenantId")).lower(),
    } - {""}
    return named.pop() if len(named) == 1 else ""


def change_of(activity: Mapping[str, Any], bot_app_id: str) -> Change | None:
    """Returns what an activity changes; None when it is of a kind that changes nothing.

    Args:
        activity: As Teams sent it; every part of it may be missing or of another type.
        bot_app_id: The bot to which it was addressed.
    """
    place = _place(activity)
    if place is None:
        return None
    if _is_over(activity, bot_app_id):
        return TeamForgotten(place.team_id) if place.team_id else Forgotten(place.id)
    if place.kind == CHANNEL and _event(activity) == "channelDeleted":
        return Forgotten(place.id)
    if place.team_id and place.team_name and _event(activity) == "teamRenamed":
        return TeamRenamed(place.team_id, place.team_name)
    return Remembered(_reference(activity, place, bot_app_id)) if _tells_place(activity, bot_app_id) else None


@dataclass(frozen=True, slots=True)
class _Place:
    id: str
    kind: str
    team_id: str
    team_name: str


def _place(activity: Mapping[str, Any]) -> _Place | None:
    conversation, data = _inner(activity, "conversation"), _inner(activity, "channelData")
    kind, id = _text(conversation.get("conversationType")), _text(conversation.get("id"))
    team = _inner(data, "team")
    if kind == CHANNEL:
        selected = _inner(data, "settings", "selectedChannel")
        id = _text(_inner(data, "channel").get("id")) or _text(selected.get("id")) or id
        id = id.partition(";messageid=")[0]
    if not id or kind not in _KINDS:
        return None
    in_team = kind == CHANNEL
    return _Place(id, kind, _text(team.get("id")) if in_team else "", _text(team.get("name")) if in_team else "")


def _is_over(activity: Mapping[str, Any], bot_app_id: str) -> bool:
    """`remove-upgrade` is the first half of an upgrade, so nothing is over."""
    match activity.get("type"):
        case "installationUpdate":
            return activity.get("action") == "remove"
        case "conversationUpdate":
            return _event(activity) in _TEAM_ENDS or _is_member(activity, "membersRemoved", bot_app_id)
    return False


def _tells_place(activity: Mapping[str, Any], bot_app_id: str) -> bool:
    match activity.get("type"):
        case "message":
            return True
        case "installationUpdate":
            return activity.get("action") in {"add", "add-upgrade"}
        case "conversationUpdate":
            return _event(activity) == "teamRestored" or _is_member(activity, "membersAdded", bot_app_id)
    return False


def _reference(activity: Mapping[str, Any], place: _Place, bot_app_id: str) -> ConversationReference:
    sender = _inner(activity, "from") if place.kind == PERSONAL else {}
    if _text(sender.get("id")).lower() == f"28:{bot_app_id}".lower():
        sender = {}
    return ConversationReference(
        conversation_id=place.id,
        bot_app_id=bot_app_id,
        conversation_type=place.kind,
        service_url=_text(activity.get("serviceUrl")),
        entra_tenant_id=directory_of(activity),
        microsoft_user_id=_text(sender.get("aadObjectId")) or None,
        user_channel_id=_text(sender.get("id")) or None,
        team_id=place.team_id or None,
        team_name=place.team_name or None,
    )


def _event(activity: Mapping[str, Any]) -> str:
    return _text(_inner(activity, "channelData").get("eventType"))


def _is_member(activity: Mapping[str, Any], name: str, bot_app_id: str) -> bool:
    members = activity.get(name)
    ids = (
        [_text(one.get("id")).lower() for one in members if isinstance(one, dict)] if isinstance(members, list) else []
    )
    return f"28:{bot_app_id}".lower() in ids


def _inner(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        found = value.get(name)
        value = found if isinstance(found, dict) else {}
    return value


def _text(value: Any) -> str:
    """Returns a text of sensible length; anything else is as good as missing."""
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""
