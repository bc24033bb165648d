"""The app package of a bot: what an administrator uploads to Teams so that people and teams can have the bot.

Facts: Microsoft's schema of manifest 1.17; a manifest that asks for a right over one resource needs a `resource` in
`webApplicationInfo`, any text (learn.microsoft.com, test-resource-specific-consent).
"""

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from server.modules.teams.activities import OF_CATEGORY
from server.modules.teams.icons import colour_icon, outline_icon

_VERSION: Final = "1.17"
_SCHEMA: Final = f"https://developer.microsoft.com/en-us/json-schemas/teams/v{_VERSION}/MicrosoftTeams.schema.json"
_COLOUR, _OUTLINE = "color.png", "outline.png"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_SHORT: Final = "Notices, messages and posts from your workflows."
_FULL: Final = (
    "Workflows put notices into your activity feed, write to you in a chat, and post to channels of the teams that "
    "have this app. The bot answers nothing that is written to it; it only learns where it can talk."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What is particular to an installation.

    Attributes:
        base_url: https address under which people reach the operator; its host is the app's domain.
        bot_id: Application id of the bot.
        graph_app_id: Application id of the app that asks Microsoft Graph.
        app_id: Id of the Teams app.
        version: Semantic version; Teams takes a package again only with another one.
        name: What people see, 30 characters at most.
        developer: Who offers it, 32 characters at most.
        privacy_url: https address.
        terms_url: https address.
    """

    base_url: str
    bot_id: str
    graph_app_id: str
    app_id: str
    version: str
    name: str
    developer: str
    privacy_url: str
    terms_url: str


def messaging_endpoint(base_url: str) -> str:
    """Returns the address that Azure Bot is to be given: where `patchbay serve --bot-port` is reached."""
    return f"{base_url.rstrip('/')}/api/messages"


def manifest_of(app: App) -> dict[str, Any]:
    """Returns the manifest."""
    return {
        "$schema": _SCHEMA,
        "manifestVersion": _VERSION,
        "version": app.version,
        "id": app.app_id,
        "developer": {
            "name": app.developer,
            "websiteUrl": app.base_url,
            "privacyUrl": app.privacy_url,
            "termsOfUseUrl": app.terms_url,
        },
        "name": {"short": app.name, "full": app.name},
        "description": {"short": _SHORT, "full": _FULL},
        "icons": {"color": _COLOUR, "outline": _OUTLINE},
        "accentColor": "#1F4E8C",
        "bots": [{"botId": app.bot_id, "scopes": ["personal", "team", "groupChat"], "isNotificationOnly": False}],
        "activities": {
            "activityTypes": [
                {"type": one.name, "description": one.description, "templateText": one.template}
                for one in OF_CATEGORY.values()
            ]
        },
        "webApplicationInfo": {"id": app.graph_app_id, "resource": app.base_url},
        "authorization": {
            "permissions": {"resourceSpecific": [{"name": "TeamsActivity.Send.User", "type": "Application"}]}
        },
        "permissions": ["identity", "messageTeamMembers"],
        "validDomains": [urlsplit(app.base_url).hostname],
    }


def package_of(app: App) -> bytes:
    """Returns the package, a zip file; the same bytes for the same app."""
    manifest = json.dumps(manifest_of(app), indent=2, ensure_ascii=False).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, body in (("manifest.json", manifest), (_COLOUR, colour_icon()), (_OUTLINE, outline_icon())):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, body)
    return content.getvalue()
