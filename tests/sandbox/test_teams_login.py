"""The simulated login service: tokens bound to a directory and an audience, and its errors."""

import jwt
import pytest

from sandbox.serving import SandboxServer
from sandbox.teams import bases, create_app, demo_connection
from tests.sandbox.teams_caller import (
    BOT,
    DANA_CHAT,
    GRAPH_SCOPE,
    OLD_BOT,
    OLD_CHAT,
    OTHER_TENANT,
    TENANT,
    TeamsCaller,
)

NOBODY = "99999999-0000-4000-8000-000000000000"


def test_a_token_tells_its_life_and_is_a_jwt(teams: TeamsCaller) -> None:
    """A bot's token lives a day, Graph's an hour; both name the application, Graph's its roles."""
    answer = teams.token()
    assert set(answer.json()) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (answer.json()["expires_in"], answer.headers["cache-control"]) == (86399, "no-store, no-cache")
    graph = teams.token(scope=GRAPH_SCOPE).json()
    claims = jwt.decode(graph["access_token"], options={"verify_signature": False})
    assert (graph["expires_in"], claims["aud"], claims["appid"]) == (3599, "https://graph.microsoft.com", BOT)
    assert "TeamsActivity.Send" in claims["roles"]


@pytest.mark.parametrize(
    ("tenant", "form", "status", "error", "number"),
    [
        (TENANT, {"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        (NOBODY, {}, 400, "invalid_request", 90002),
        (TENANT, {"client_id": NOBODY}, 400, "unauthorized_client", 700016),
        (OTHER_TENANT, {}, 400, "unauthorized_client", 700016),
        ("botframework.com", {"scope": GRAPH_SCOPE}, 400, "unauthorized_client", 700016),
        (TENANT, {"scope": "https://api.botframework.us/.default"}, 400, "invalid_scope", 70011),
        (TENANT, {"scope": "https://graph.microsoft.com/User.Read"}, 400, "invalid_scope", 1002012),
        (TENANT, {"scope": ""}, 400, "invalid_request", 900144),
        (TENANT, {"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_errors_are_told_by_word_and_number(
    teams: TeamsCaller, tenant: str, form: dict[str, str], status: int, error: str, number: int
) -> None:
    """The description begins with the number and ends with three lines for support."""
    answer = teams.token(tenant, **form)
    told = answer.json()
    assert (answer.status, told["error"], told["error_codes"]) == (status, error, [number])
    first, *support = told["error_description"].split("\r\n")
    assert first.startswith(f"AADSTS{number}: ")
    assert [line.partition(":")[0] for line in support] == ["Trace ID", "Correlation ID", "Timestamp"]
    assert {"timestamp", "trace_id", "correlation_id"} < set(told)


def test_an_expired_secret_has_a_number_of_its_own(teams: TeamsCaller) -> None:
    """Only the holder of the secret learns that it is expired."""
    teams.control.patch_state(bots={BOT: {"secret_expired": True}})
    assert teams.token().json()["error_codes"] == [7000222]
    assert teams.token(client_secret="wrong").json()["error_codes"] == [7000215]


def test_a_directory_goes_by_its_domain_too(teams: TeamsCaller) -> None:
    """Id and domain, whatever the case."""
    assert teams.write(DANA_CHAT, bearer=teams.granted("Harbor.Example.com")).status == 201


def test_a_bots_token_counts_only_from_the_right_directory(teams: TeamsCaller) -> None:
    """The other one's token is granted, and refused by the connector without a code."""
    refused = {"message": "Authorization has been denied for this request."}
    single = teams.granted("botframework.com")
    legacy = teams.granted(OTHER_TENANT, OLD_BOT)
    for conversation, bearer in ((DANA_CHAT, single), (OLD_CHAT, legacy)):
        answer = teams.write(conversation, bearer=bearer)
        assert (answer.status, answer.json()) == (401, refused)
    assert teams.write(OLD_CHAT, bearer=teams.granted("botframework.com", OLD_BOT)).status == 201


def test_tokens_are_bound_to_their_audience(teams: TeamsCaller) -> None:
    """Graph's token is refused by the connector, a bot's by Graph, each in its own way."""
    assert teams.write(DANA_CHAT, bearer=teams.graph_bearer).json() == {
        "message": "Authorization has been denied for this request."
    }
    path = f"/graph/v1.0/users/{DANA_CHAT}/teamwork/installedApps"
    assert teams.call("GET", path, bearer=teams.bearer).error() == (401, "InvalidAuthenticationToken")
    assert teams.send("GET", path).status == 401


def test_tokens_end_by_the_vendors_clock_or_at_a_tests_wish(teams: TeamsCaller) -> None:
    """One second before its end a token works, at its end it does not."""
    teams.control.patch_state(settings={"clock": 1_800_000_000.0})
    bearer = teams.granted()
    teams.control.patch_state(settings={"clock": 1_800_086_398.0})
    assert teams.write(DANA_CHAT, bearer=bearer).status == 201
    teams.control.patch_state(settings={"clock": 1_800_086_399.0})
    assert teams.write(DANA_CHAT, bearer=bearer).status == 401
    fresh = teams.granted()
    teams.control.patch_state(expire_tokens=True)
    assert teams.write(DANA_CHAT, bearer=fresh).status == 401


def test_the_life_may_be_told_as_a_text(teams: TeamsCaller) -> None:
    """As the old endpoint told it."""
    teams.control.patch_state(settings={"expires_in_as_text": True, "bot_token_seconds": 60})
    assert teams.token().json()["expires_in"] == "60"


def test_a_bot_without_registration_is_told_so(teams: TeamsCaller) -> None:
    """401 with a code, unlike a token that is not taken."""
    teams.control.patch_state(bots={BOT: {"registered": False}})
    assert teams.write(DANA_CHAT).error() == (401, "BotNotRegistered")


def test_no_secret_and_no_token_is_shown_by_state_or_requests(teams: TeamsCaller) -> None:
    """The credentials route alone tells secrets; what was received is masked."""
    teams.write(DANA_CHAT)
    shown = str(teams.control.state()) + str(teams.control.requests())
    hidden = [*teams.secrets.values(), teams.bearer, teams.graph_bearer]
    assert [value for value in hidden if value in shown] == []
    assert "client_secret=***" in shown


def test_a_connection_is_described_by_what_the_control_plane_tells(teams: TeamsCaller) -> None:
    """Application, its own directory, its secret, and the three addresses."""
    settings = demo_connection(teams.url, teams.control.credentials())
    named = {name: settings[name] for name in ("bot_app_id", "entra_tenant_id", "bot_secret")}
    assert named == {"bot_app_id": BOT, "entra_tenant_id": TENANT, "bot_secret": teams.secrets[BOT]}
    addresses = bases(teams.url)
    assert [settings[f"{name}_url"] for name in ("login", "graph", "service")] == [
        addresses[name] for name in ("login", "graph", "connector")
    ]


def test_secrets_survive_a_reset_and_tokens_do_not(teams: TeamsCaller) -> None:
    """Two worlds have different secrets."""
    teams.control.reset()
    assert teams.write(DANA_CHAT).status == 401
    assert teams.write(DANA_CHAT, bearer=teams.granted()).status == 201
    with SandboxServer(create_app()) as other:
        assert TeamsCaller(other).secrets[BOT] != teams.secrets[BOT]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/login/x/oauth2/v2.0/token", 405), ("GET", "/graph/v1.0/me", 404)]
)
def test_routes_that_are_not_there(teams: TeamsCaller, method: str, path: str, status: int) -> None:
    """405 for another method, 404 for another path or surface."""
    assert teams.call(method, path).status == status
    assert teams.send(method, "/elsewhere").status == 404
