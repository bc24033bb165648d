"""An activity as a bot sends it: its size, its parts, what is wrong with it.

Facts: the schema of Connector API 3.1.12; format-your-bot-messages.md @ 04987c0 for the size. Microsoft's Playground
was seen to refuse `{}` as BadArgument and a message without content as BadSyntax. Refusing mentions that the text does
not hold or that name nobody, an unknown importance and a foreign sender is stricter than anything that a source tells.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.teams.connector.places import Place
from sandbox.teams.wire import Call, bad_argument, connector_error, too_large

_MAX_BYTES = 102_400
_IMAGE = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]+")
_CHOICES = {"importance": {"low", "normal", "high"}, "textFormat": {"plain", "markdown", "xml"}}
_ADAPTIVE = "application/vnd.microsoft.card.adaptive"


@dataclass(frozen=True, slots=True)
class Activity:
    """A checked activity.

    Attributes:
        parts: One for each message that it becomes; none for an indicator of typing.
    """

    given: Mapping[str, Any]
    parts: list[dict[str, Any]]

    @property
    def cost(self) -> int:
        """How much it counts against the limits."""
        return max(1, len(self.parts))


def check_size(call: Call) -> None:
    """Raises the 413 of a payload that is too long as UTF-16, its inline images left out."""
    text = _IMAGE.sub("", call.body.decode("utf-8", "replace"))
    if len(text.encode("utf-16-le")) > _MAX_BYTES:
        raise too_large(call.world.settings.too_large)


def body(call: Call) -> dict[str, Any]:
    """The request's object. Raises 400 for anything else, 413 for too much of it."""
    check_size(call)
    given = call.json()
    if not isinstance(given, dict):
        raise connector_error(400, "BadSyntax", "The body is not a valid JSON object.")
    return given


def activity(call: Call, given: Any) -> Activity:
    """An activity that the connector takes. Raises 400 for others."""
    if not isinstance(given, dict) or given.get("type") not in {"message", "typing"}:
        raise bad_argument("The activity type is missing or not supported.")
    for name, choices in _CHOICES.items():
        if given.get(name) is not None and given[name] not in choices:
            raise bad_argument(f"{name} must be one of {', '.join(sorted(choices))}.")
    sender = _object(given, "from").get("id")
    if sender is not None and sender != f"28:{call.bot.app_id}":
        raise bad_argument("The sender is not the bot that is signed in.")
    return Activity(given, [] if given["type"] == "typing" else _parts(given))


def _parts(given: dict[str, Any]) -> list[dict[str, Any]]:
    text, attachments = given.get("text") or "", given.get("attachments") or []
    if not isinstance(text, str) or not isinstance(attachments, list):
        raise bad_argument("text must be a string, attachments a list.")
    for one in attachments:
        _check_attachment(one)
    rest = {name: value for name, value in given.items() if name not in {"text", "attachments"}}
    parts = [{**rest, "text": text}] if text.strip() else []
    parts += [{**rest, "attachments": [one]} for one in attachments]
    if not parts:
        raise connector_error(400, "BadSyntax", "A message needs text or an attachment.")
    return parts


def _check_attachment(one: Any) -> None:
    if not isinstance(one, dict) or not one.get("contentType"):
        raise bad_argument("An attachment needs a contentType.")
    if one["contentType"] != _ADAPTIVE:
        return
    card = one.get("content")
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard" or not isinstance(card.get("version"), str):
        raise bad_argument("The content is no Adaptive Card with a version.")


def check_mentions(call: Call, given: Mapping[str, Any], where: Place) -> None:
    """Raises the 400 of a mention whose words are not in the text, or of somebody who is not there."""
    for entity in given.get("entities") or []:
        if not isinstance(entity, dict) or entity.get("type") != "mention":
            continue
        words, wanted = entity.get("text") or "", _object(entity, "mentioned").get("id") or ""
        if not words or words not in (given.get("text") or ""):
            raise bad_argument("The text of a mention does not stand in the text of the message.")
        user = call.world.user(str(wanted))
        if user is None or user.id not in _people(where):
            raise bad_argument("A mentioned user is not part of the conversation.")


def _people(where: Place) -> list[str]:
    if where.team is not None:
        return where.team.members
    return [where.user.id] if where.user is not None else []


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}
