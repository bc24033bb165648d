"""What somebody can do who got hold of a token that the Bot Framework made: little, and nothing that leads astray."""

from typing import Any

import pytest

from server.store.bots import prune_bot_activities
from tests.edge.bot_stage import Stage, stage
from tests.sandbox.teams_caller import ALERTS, BOT, DANA, GENERAL, KIM, LEE, TENANT

pytestmark = pytest.mark.anyio

__all__ = ["stage"]


def message(stage: Stage) -> dict[str, Any]:
    """A message of Kim in a chat."""
    return {
        "type": "message",
        "id": "f:1",
        "channelId": "msteams",
        "serviceUrl": f"{stage.url}/connector/emea/",
        "recipient": {"id": f"28:{BOT}"},
        "from": {"id": "29:x", "aadObjectId": KIM},
        "conversation": {"conversationType": "personal", "tenantId": TENANT, "id": "a:1"},
        "channelData": {"tenant": {"id": TENANT}},
    }


async def test_the_same_again_changes_nothing(stage: Stage) -> None:
    """An activity counts once: sent again after the chat has ended it does not bring it back."""
    body, headers = await stage.signed(message(stage))
    assert await stage.post(body, **headers) == 200
    await stage.book().forget(BOT, "a:1")
    assert await stage.post(body, **headers) == 200
    assert await stage.stored() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"from": {"id": "29:x", "aadObjectId": LEE}},
        {"text": "other"},
        {"channelData": {"tenant": {"id": TENANT}, "team": {"id": GENERAL}}},
    ],
)
async def test_replayed_with_another_body_is_refused(stage: Stage, change: dict[str, Any]) -> None:
    """Another activity under the name of one that came before: 403, nothing changes, the audit says why."""
    activity = message(stage)
    first, headers = await stage.signed(activity)
    assert await stage.post(first, **headers) == 200
    before = await stage.book().get(BOT, "a:1")
    again, _ = await stage.signed({**activity, **change})
    assert await stage.post(again, **headers) == 403
    assert await stage.book().get(BOT, "a:1") == before
    assert await stage.stored() == 1
    assert [reason for _, _, reason in await stage.audited()] == ["", "ANOTHER_BODY"]


async def test_what_a_token_does_not_cover_stays_unconfirmed(stage: Stage) -> None:
    """With a captured token a new activity can be made up; what it says of a person is not used on its word."""
    body, headers = await stage.signed(message(stage))
    assert await stage.post(body, **headers) == 200
    await stage.book().confirm(BOT, "a:1", KIM)
    told = await stage.book().personal(BOT, KIM)
    assert told is not None
    assert told.confirmed
    made_up = {**message(stage), "id": "f:2", "from": {"id": "29:y", "aadObjectId": LEE}}
    body, _ = await stage.signed(made_up)
    assert await stage.post(body, **headers) == 200
    told = await stage.book().personal(BOT, LEE)
    assert told is not None
    assert not told.confirmed


async def test_activities_are_forgotten_after_a_day(stage: Stage) -> None:
    """Until then they are known; nothing but digests is kept of them."""
    assert await stage.inbound(event="message", user=DANA, text="zebra crossing") == [200]
    await stage.inbound(event="message", user=LEE)
    async with stage.handle.house.database.system() as connection:
        await connection.execute(
            "UPDATE teams_bot_activities SET taken_at = now() - interval '25 hours' WHERE ctid IN "
            "(SELECT ctid FROM teams_bot_activities LIMIT 1)"
        )
    await prune_bot_activities(stage.handle.house.database)
    async with stage.handle.house.database.system() as connection:
        rows = await connection.fetch("SELECT name, content FROM teams_bot_activities")
    assert [(len(row["name"]), len(row["content"])) for row in rows] == [(32, 32)]


async def test_stored_names_follow_a_team(stage: Stage) -> None:
    """Renamed, its channels have the new name; deleted for good, they are gone; restored, the team is known again."""
    for channel in (GENERAL, ALERTS):
        await stage.inbound(event="message", user=DANA, team=GENERAL, channel=channel, thread="1764000000000")
    await stage.book().confirm_team(BOT, GENERAL, "Old")
    renamed = {"channelData": {"team": {"id": GENERAL, "name": "Night Desk"}}}
    told = {"event": "team", "user": DANA, "team": GENERAL}
    assert await stage.inbound(**told, event_type="teamRenamed", changes=renamed) == [200]
    found = [await stage.book().get(BOT, channel) for channel in (GENERAL, ALERTS)]
    assert [(one.team_name, one.confirmed) for one in found if one] == [("Night Desk", False)] * 2
    for event in ("teamArchived", "channelRenamed", "channelCreated"):
        assert await stage.inbound(**told, event_type=event) == [200]
    assert await stage.stored() == 2
    assert await stage.inbound(**told, event_type="teamHardDeleted") == [200]
    assert await stage.stored() == 0
    assert await stage.inbound(**told, event_type="teamRestored") == [200]
    assert [one.team_id for one in await stage.book().teams(BOT)] == [GENERAL]
