"""What is sent, as Microsoft wants it.

Text and card in one activity are split by Teams, and the id is lost: with a card the text becomes its first line.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from google.protobuf.json_format import MessageToDict

from server.gen.patchbay.modules.teams.v1.teams_pb2 import (
    NotifyUserRequest,
    PostToChannelRequest,
    SendDmRequest,
    TeamsConnection,
)
from server.modules.teams.activities import ITEM, OF_CATEGORY
from server.modules.teams.connection import cloud_of
from server.sdk import ActionFailure
from server.sdk.paging import Row
from server.sdk.reading import text

SYSTEM_DEFAULT: Final = "systemDefault"
_CARD: Final = "application/vnd.microsoft.card.adaptive"
_VERSIONS: Final = frozenset({"1.0", "1.1", "1.2", "1.3", "1.4", "1.5"})
_LONGEST_LINK: Final = 1900  # longer ones fail in the Windows client
Body = dict[str, Any]
Message = SendDmRequest | PostToChannelRequest


def notice(request: NotifyUserRequest, settings: TeamsConnection, chain_id: int) -> Body:
    """Returns the body of an activity notification: free text, or the type that belongs to the category."""
    kind, name = SYSTEM_DEFAULT, "systemDefaultText"
    if request.category:
        kind, name = OF_CATEGORY[request.category].name, ITEM
    return {
        "topic": {"source": "text", "value": request.title, "webUrl": _link(request.link, settings)},
        "activityType": kind,
        "previewText": {"content": request.message or request.title},
        "templateParameters": [{"name": name, "value": request.title}],
        "chainId": chain_id,
    }


def chain_of(tenant: str, user: str, key: str) -> int:
    """Returns the chain of a key: 63 bits, never 0, of which nobody else's notices are part."""
    digest = hashlib.sha256(f"{tenant}\0{user}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1


def activity(request: Message, settings: TeamsConnection, mentioned: Sequence[Row] = ()) -> Body:
    """Returns the message as a bot sends it; people who are mentioned stand at its beginning."""
    mentions = [_mention(one) for one in mentioned]
    words = " ".join((*(one["text"] for one in mentions), request.message))
    shared = {
        "type": "message",
        "from": {"id": f"28:{settings.bot_app_id}"},
        "channelData": {"tenant": {"id": settings.entra_tenant_id}},
        **({"importance": request.importance} if request.importance else {}),
    }
    if not request.HasField("card"):
        return {**shared, "text": words, "textFormat": "markdown", **({"entities": mentions} if mentions else {})}
    card = _with_head(MessageToDict(request.card), words, mentions)
    attachment = {"contentType": _CARD, "content": card}
    return {**shared, "summary": request.message[:200], "attachments": [attachment]}


def within(body: Body, conversation_id: str, tenant_id: str, kind: str) -> Body:
    """Returns an activity that names its conversation and tenant; without them Teams refuses some first messages."""
    return {**body, "conversation": {"id": conversation_id, "conversationType": kind, "tenantId": tenant_id}}


def _with_head(card: dict[str, Any], words: str, mentions: list[dict[str, Any]]) -> dict[str, Any]:
    body, version, own = card.get("body", []), card.get("version"), card.get("msteams", {})
    if card.get("type") != "AdaptiveCard" or version not in _VERSIONS or not isinstance(body, list):
        raise _bad("card", "The card is not an Adaptive Card of version 1.0 to 1.5 with a `body`.")
    if not isinstance(own, dict) or not isinstance(own.get("entities", []), list):
        raise _bad("card", "The card's `msteams` is not an object with a list of `entities`.")
    named = {"msteams": {**own, "entities": [*own.get("entities", []), *mentions]}} if mentions else {}
    return {**card, **named, "body": [{"type": "TextBlock", "text": words, "wrap": True}, *body]}


def _mention(member: Row) -> dict[str, Any]:
    """The text must be exactly what stands in the message."""
    name = (text(member.get("name")) or "?").replace("<", "").replace(">", "")
    return {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": member.get("id"), "name": name}}


def _link(link: str, settings: TeamsConnection) -> str:
    """Returns a link into Teams, the only kind that Graph takes."""
    teams = cloud_of(settings).links
    chat = f"{teams}l/entity/{settings.teams_app_id or settings.bot_app_id}/conversations"
    given = link if link.startswith(teams) else f"{chat}?webUrl={quote(link, '')}" if link else chat
    if len(given) > _LONGEST_LINK:
        raise _bad("link", "The link is too long for Teams.")
    return given


def _bad(field: str, message: str) -> ActionFailure:
    return ActionFailure("VENDOR_REJECTED_INPUT", message, field=field)
