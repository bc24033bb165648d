"""Activities as Teams sends them to a bot.

Facts: subscribe-to-conversation-events.md of MicrosoftDocs/msteams-docs @ 011f445, and what Microsoft's Playground was
seen to send.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from random import SystemRandom
from typing import Any
from uuid import uuid4

from sandbox.teams.inbound.wishes import Wish
from sandbox.teams.models import Bot, Channel, Directory, Team, User
from sandbox.teams.world import World

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """Who takes part in an event."""

    world: World
    bot: Bot
    user: User
    directory: Directory
    team: Team | None
    channel: Channel | None
    service_url: str

    def base(self, kind: str) -> JsonObject:
        """What every activity has."""
        return {
            "type": kind,
            "id": f"f:{uuid4()}",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.world.now())),
            "channelId": "msteams",
            "serviceUrl": self.service_url,
            "from": {"id": self.user.channel_id, "aadObjectId": self.user.id, "name": self.user.name},
            "recipient": {"id": f"28:{self.bot.app_id}", "name": self.bot.name},
            "conversation": self.conversation(),
            "locale": "en-US",
            "entities": [{"type": "clientInfo", "locale": "en-US"}],
            "channelData": self.data(),
        }

    def conversation(self) -> JsonObject:
        """The chat, or the selected channel."""
        tenant = {"tenantId": self.directory.id}
        if self.channel is None:
            opened = self.world.open(self.bot.app_id, self.user)
            return {"conversationType": "personal", **tenant, "id": opened.id}
        named = {"name": self.channel.name} if self.channel.name else {}
        return {"isGroup": True, "conversationType": "channel", "id": self.channel.id, **named, **tenant}

    def data(self) -> JsonObject:
        """`channelData` without an event's own part."""
        tenant = {"tenant": {"id": self.directory.id}}
        if self.team is None or self.channel is None:
            return tenant
        named = {"id": self.team.id, "name": self.team.name, "aadGroupId": self.team.aad_group_id}
        channel = {"id": self.channel.id, **({"name": self.channel.name} if self.channel.name else {})}
        return {**tenant, "team": named, "channel": channel}


def made(scene: Scene, wish: Wish) -> list[JsonObject]:
    """The activities of a wish, its changes laid over each."""
    makers = {"install": _installed, "uninstall": _removed, "upgrade": _upgraded, "message": _message, "team": _team}
    found = [wish.activity] if wish.event == "raw" else list(makers[wish.event](scene, wish))
    return [laid_over(one, wish.changes) for one in found]


def _installed(scene: Scene, wish: Wish) -> list[JsonObject]:
    pair = [_installation(scene, "add"), _members(scene, wish, "membersAdded", "teamMemberAdded")]
    order = scene.world.settings.install_order
    if order == "conversation_first" or (order == "random" and SystemRandom().random() < 0.5):
        pair.reverse()
    return pair


def _removed(scene: Scene, wish: Wish) -> list[JsonObject]:
    return [_installation(scene, "remove"), _members(scene, wish, "membersRemoved", "teamMemberRemoved")]


def _upgraded(scene: Scene, _wish: Wish) -> list[JsonObject]:
    return [_installation(scene, "remove-upgrade"), _installation(scene, "add-upgrade")]


def _installation(scene: Scene, action: str) -> JsonObject:
    made = scene.base("installationUpdate")
    selected = {"settings": {"selectedChannel": {"id": made["conversation"]["id"]}}, "source": {"name": "message"}}
    return {**made, "action": action, "channelData": {**made["channelData"], **selected}}


def _members(scene: Scene, wish: Wish, field: str, event_type: str) -> JsonObject:
    made = {**scene.base("conversationUpdate"), field: [{"id": f"28:{scene.bot.app_id}"}]}
    if scene.team is not None:
        made["channelData"] = {**made["channelData"], "eventType": event_type}
    return _sparse(made, wish)


def _message(scene: Scene, wish: Wish) -> Iterable[JsonObject]:
    made = {**scene.base("message"), "text": wish.text, "textFormat": "plain", "id": scene.world.next_id()}
    if scene.channel is not None:
        root = wish.thread or made["id"]
        made["conversation"] = {**made["conversation"], "id": f"{scene.channel.id};messageid={root}"}
        made["channelData"] = {**made["channelData"], "teamsChannelId": scene.channel.id}
    yield made


def _team(scene: Scene, wish: Wish) -> Iterable[JsonObject]:
    """Something happened to a team: its conversation is the team then."""
    made = scene.base("conversationUpdate")
    made["channelData"] = {**made["channelData"], "eventType": wish.event_type}
    if scene.team is not None:
        made["conversation"] = {**made["conversation"], "id": scene.team.id}
    yield _sparse(made, wish)


def _sparse(made: JsonObject, wish: Wish) -> JsonObject:
    return {**made, "from": {"id": made["from"]["id"]}} if wish.sparse else made


def laid_over(below: JsonObject, above: JsonObject) -> JsonObject:
    """An object with another one laid over it, nested objects too; null takes a field away."""
    merged = dict(below)
    for name, value in above.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = laid_over(merged[name], value)
        else:
            merged[name] = value
    return merged
