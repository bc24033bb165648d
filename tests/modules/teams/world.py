"""The simulated services that these tests speak to: names for what is in their demo world."""

from typing import Any

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection

DIRECTORY = "6a1f0c8e-2222-4b1d-9f00-0123456789ab"
BOT = "0b7c2c2e-1111-4c55-8f52-2f1f6c0a9d10"
APP = "c0ffee00-1111-4222-8333-444455556666"
DANA, LEE, SAM, KIM = (f"7d9f3b54-3333-4444-8555-66667777888{number}" for number in (1, 2, 3, 4))
DESK, ALERTS, LEADS = (f"19:harbor{name}@thread.tacv2" for name in ("servicedesk", "alerts", "leads"))
FINANCE = "19:harborfinance@thread.tacv2"
CARD: dict[str, Any] = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "FS-01"}]}


def connection(url: str, secret: str, **changes: Any) -> TeamsConnection:
    """Settings of a connection that may do everything."""
    settings = TeamsConnection(
        entra_tenant_id=DIRECTORY,
        bot_app_id=BOT,
        bot_secret=secret,
        teams_app_id=APP,
        team_id=DESK,
        login_url=f"{url}/login",
        graph_url=f"{url}/graph",
        service_url=f"{url}/connector/teams",
    )
    settings.MergeFrom(TeamsConnection(**changes))
    return settings
