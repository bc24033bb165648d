"""The simulated Graph: notifications of the activity feed, and the installations of an app."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.sandbox.teams_caller import APP, BOT, DANA, KIM, LEE, TENANT, TeamsCaller

LINK = "https://teams.microsoft.com/l/entity/app/conversations"
PARAMETERS = [{"name": "item", "value": "FS-01"}]


def installed_apps(user: str = LEE) -> str:
    """Path of a user's installations."""
    return f"/graph/v1.0/users/{user}/teamwork/installedApps"


def test_a_notification_is_accepted_without_a_body(teams: TeamsCaller) -> None:
    """204 with a request id; it stands in the feed of the user, who goes by id or by name."""
    for user in (DANA, "Dana@harbor.example.com"):
        answer = teams.notify(user)
        assert (answer.status, answer.text, len(answer.headers["request-id"])) == (204, "", 36)
    assert teams.control.effects().by_kind == {"notify": 2}
    assert {one["user"] for one in teams.control.state()["notifications"]} == {DANA}
    teams.control.patch_state(settings={"notify_status": 202})
    assert teams.notify().status == 202


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": {"@odata.type": "microsoft.graph.aadUserNotificationRecipient", "userId": DANA}},
        {"activityType": None},
        {"activityType": "diskFull"},
        {"activityType": "workEscalated", "templateParameters": [{"name": "thing", "value": "FS-01"}]},
        {"templateParameters": None},
        {"templateParameters": [{"name": "systemDefaultText", "value": ""}]},
        {"templateParameters": [{"name": "systemDefaultText", "text": "x"}]},
        {"topic": None},
        {"topic": {"source": "text", "value": "Ticket 4217"}},
        {"topic": {"source": "text", "value": "Ticket 4217", "webUrl": "https://psa.example.com/t/4217"}},
        {"topic": {"source": "text", "value": "x", "webUrl": "https://teams.microsoft.com.example.com/l"}},
        {"topic": {"source": "entityUrl", "value": "https://graph.microsoft.com/v1.0/teams/1"}},
        {"topic": {"source": "link", "value": "x"}},
        {"chainId": "1"},
        {"chainId": True},
        {"chainId": 2**63},
        {"previewText": "short"},
        {"previewText": {"text": "short"}},
    ],
)
def test_a_body_that_cannot_be_is_a_400(teams: TeamsCaller, changes: dict[str, Any]) -> None:
    """Unknown fields (a recipient among them), undeclared types, missing parameters, links out of Teams."""
    assert teams.notify(**changes).error() == (400, "BadRequest")
    assert teams.control.effects().total == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"activityType": "workEscalated", "templateParameters": PARAMETERS},
        {"topic": {"source": "entityUrl", "value": f"https://graph.microsoft.com/v1.0/appCatalogs/teamsApps/{APP}"}},
        {
            "topic": {
                "source": "entityUrl",
                "value": f"https://graph.microsoft.com/beta/users/{DANA}/teamwork/installedApps/x",
            }
        },
        {
            "topic": {
                "source": "text",
                "value": "x",
                "webUrl": LINK,
                "@odata.type": "microsoft.graph.teamworkActivityTopic",
            }
        },
        {"teamsAppId": APP, "iconId": "alert", "chainId": 2**63 - 1, "previewText": None},
    ],
)
def test_what_the_schema_has_is_taken(teams: TeamsCaller, changes: dict[str, Any]) -> None:
    """Declared types with their parameters, both kinds of entities, types of OData."""
    assert teams.notify(**changes).status == 204


def test_a_chain_has_one_item(teams: TeamsCaller) -> None:
    """The same chain replaces, the same item changes nothing, other chains and none add; chains of users are apart."""
    for changes in (
        {"chainId": 7},
        {"chainId": 7},
        {"chainId": 7, "previewText": {"content": "later"}},
        {"chainId": 8},
        {},
        {},
    ):
        assert teams.notify(**changes).status == 204
    assert teams.notify(LEE, chainId=7).status == 204
    assert teams.control.effects().by_kind == {"notify": 5, "replace_notification": 1}
    first = teams.control.state()["notifications"][0]
    assert (first["chain_id"], first["times"], first["body"]["previewText"]["content"]) == (7, 3, "later")


def test_users_are_those_of_the_directory(teams: TeamsCaller) -> None:
    """Unknown ones are a 404, and so is the id that only bots know."""
    teams.control.patch_state(directories={TENANT: {"name": "Renamed"}})
    for user in ("nobody@harbor.example.com", "29:1aDanaTechHarbor"):
        assert teams.notify(user).error() == (404, "Request_ResourceNotFound")


def test_without_the_app_a_user_cannot_be_notified(teams: TeamsCaller) -> None:
    """403 in the words by which clients tell it; an app in one of the user's teams is enough."""
    answer = teams.notify(KIM)
    assert answer.error() == (403, "Forbidden")
    assert "is not authorized to generate custom text notifications" in answer.text
    teams.control.patch_state(remove_installations=["aW5zdC1sZWU"])
    assert teams.notify(LEE).status == 204


def test_a_missing_permission_is_told_apart(teams: TeamsCaller) -> None:
    """Also 403; the roles that the token has are listed after those that are needed."""
    teams.control.patch_state(bots={BOT: {"roles": ["User.Read.All"]}})
    teams.sign_in()
    answer = teams.notify()
    assert answer.error() == (403, "Forbidden")
    assert "API requires one of 'TeamsActivity.Send'. Roles on the request 'User.Read.All'" in answer.text
    assert teams.call("GET", installed_apps()).error() == (403, "Forbidden")
    teams.control.patch_state(apps={APP: {"may_notify": True}})
    assert teams.notify().status == 204


def test_two_apps_of_one_application_need_an_app_id(teams: TeamsCaller) -> None:
    """409 until the body names one of them; an app that is not installed is a 403."""
    second = "c0ffee00-9999-4222-8333-444455556666"
    teams.control.patch_state(
        add_apps=[{"id": second, "external_id": second, "name": "Twin", "bot": BOT}],
        add_installations=[{"id": "twin", "app": second, "user": DANA}],
    )
    answer = teams.notify()
    assert answer.error() == (409, "Conflict")
    assert answer.json()["error"]["message"].startswith("Found multiple applications with the same")
    assert teams.notify(teamsAppId=APP).status == 204
    assert teams.notify(teamsAppId="c0ffee00-2222-4222-8333-444455556666").status == 403


def test_five_notifications_fit_into_a_second(teams: TeamsCaller) -> None:
    """The sixth is a 429 with Retry-After; by the vendor's clock there is room again."""
    teams.control.patch_state(settings={"limits": True, "clock": 1_800_000_000.0})
    teams.sign_in()
    assert [teams.notify().status for _ in range(6)] == [204] * 5 + [429]
    answer = teams.notify()
    assert (answer.error(), answer.headers["retry-after"]) == ((429, "TooManyRequests"), "1")
    teams.control.patch_state(settings={"clock": 1_800_000_001.0})
    assert teams.notify().status == 204
    assert teams.control.effects().count("notify") == 6


def test_an_error_has_the_envelope(teams: TeamsCaller) -> None:
    """Code, message and an inner error with the ids of the request, ours given back."""
    path = f"/graph/v1.0/users/{KIM}/teamwork/installedApps/none/chat"
    headers = {"Authorization": f"Bearer {teams.graph_bearer}", "client-request-id": "ours"}
    answer = teams.send("GET", path, headers=headers)
    error = answer.json()["error"]
    assert (set(error), answer.status) == ({"code", "message", "innerError"}, 404)
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert error["innerError"]["client-request-id"] == answer.headers["client-request-id"] == "ours"


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (f"teamsApp/id eq '{APP}'", 1),
        (f"teamsApp/externalId eq '{BOT}'", 1),
        ("teamsApp/id eq 'another'", 0),
    ],
)
def test_an_installation_is_found_by_its_app(teams: TeamsCaller, condition: str, found: int) -> None:
    """By catalog id or manifest id; the app is told when it is asked for."""
    query = f"?$expand=teamsApp&$filter={quote(condition)}"
    rows = teams.call("GET", installed_apps() + query).json()["value"]
    assert [row["teamsApp"]["externalId"] for row in rows] == [BOT] * found
    assert teams.call("GET", installed_apps()).json() == {"value": [{"id": "aW5zdC1sZWU"}]}
    assert teams.call("GET", installed_apps() + "?$filter=id").error() == (400, "BadRequest")


def test_the_chat_of_an_installation_takes_messages(teams: TeamsCaller) -> None:
    """A user without a conversation is reached by the id that Graph tells; it is the same chat as by the other id."""
    chat = teams.call("GET", f"{installed_apps()}/aW5zdC1sZWU/chat").json()["id"]
    assert chat == f"19:{LEE}_{BOT}@unq.gbl.spaces"
    assert teams.write(chat).status == 201
    opened = teams.create(members=[{"id": LEE}]).json()["id"]
    assert [one["conversation"] for one in teams.control.state()["messages"]] == [opened]
    assert teams.write(f"19:{KIM}_{BOT}@unq.gbl.spaces").error() == (404, "ConversationNotFound")


def test_an_app_is_installed_once(teams: TeamsCaller) -> None:
    """201, then 409; afterwards the user can be notified."""
    body = {"teamsApp@odata.bind": f"https://graph.microsoft.com/v1.0/appCatalogs/teamsApps/{APP}"}
    assert [teams.call("POST", installed_apps(KIM), body).status for _ in range(2)] == [201, 409]
    assert teams.notify(KIM).status == 204
    assert teams.call("POST", installed_apps(KIM), {}).error() == (400, "BadRequest")
    assert teams.control.effects().by_kind == {"install_app": 1, "notify": 1}
