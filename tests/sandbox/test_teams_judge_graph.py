"""Microsoft's Graph SDK judges the simulated Graph (extra `judges-graph`)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import httpx
import pytest

from sandbox.teams.graph import notify
from tests.sandbox.teams_caller import APP, BOT, DANA, KIM, LEE, TeamsCaller

msgraph = pytest.importorskip("msgraph", reason="the extra 'judges-graph' is not installed: make judges-graph")

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of the judges themselves
_MODELS = "msgraph.generated.models"
_NOTIFICATION = (
    "msgraph.generated.users.item.teamwork.send_activity_notification.send_activity_notification_post_request_body"
)


def of(module: str, name: str) -> Any:
    """A class of the SDK, which has a module for each."""
    return getattr(import_module(module), name)


@dataclass
class Bearer:
    """Signs the SDK's requests; its own providers refuse addresses without TLS."""

    token: str

    async def authenticate_request(self, request: Any, _context: Any = None) -> None:
        """Adds the header."""
        request.headers.add("Authorization", f"Bearer {self.token}")


@pytest.fixture
async def graph(teams: TeamsCaller) -> AsyncIterator[Any]:
    """Microsoft's client, as the single-tenant bot."""
    async with httpx.AsyncClient(trust_env=False) as client:  # the SDK's own one leaves its sockets open
        adapter = msgraph.GraphRequestAdapter(Bearer(teams.graph_bearer), client)
        adapter.base_url = f"{teams.url}/graph/v1.0"
        yield msgraph.GraphServiceClient(request_adapter=adapter)


def body(**changes: Any) -> Any:
    """A notification with free text."""
    link = "https://teams.microsoft.com/l/entity/app/conversations"
    source = of(f"{_MODELS}.teamwork_activity_topic_source", "TeamworkActivityTopicSource").Text
    topic = of(f"{_MODELS}.teamwork_activity_topic", "TeamworkActivityTopic")
    pair = of(f"{_MODELS}.key_value_pair", "KeyValuePair")
    return of(_NOTIFICATION, "SendActivityNotificationPostRequestBody")(
        **{
            "topic": topic(source=source, value="Ticket 4217", web_url=link),
            "activity_type": "systemDefault",
            "preview_text": of(f"{_MODELS}.item_body", "ItemBody")(content="C: at 98 %"),
            "template_parameters": [pair(name="systemDefaultText", value="Disk full")],
            "chain_id": 5471120934420011,
            "teams_app_id": APP,
            **changes,
        }
    )


def test_both_have_the_same_fields() -> None:
    """What the SDK's class reads is what the simulated Graph takes; neither has a recipient."""
    assert set(body().get_field_deserializers()) == set(notify._FIELDS)
    topic = of(f"{_MODELS}.teamwork_activity_topic", "TeamworkActivityTopic")()
    assert set(topic.get_field_deserializers()) - {"@odata.type"} == set(notify._TOPIC)


async def test_its_notification_is_taken(teams: TeamsCaller, graph: Any) -> None:
    """As its serializer writes it; the chain has one item however often it is sent."""
    for _ in range(2):
        await graph.users.by_user_id(DANA).teamwork.send_activity_notification.post(body())
    (stored,) = teams.control.state()["notifications"]
    assert (stored["user"], stored["chain_id"], stored["times"]) == (DANA, 5471120934420011, 2)


@pytest.mark.parametrize(
    ("user", "changes", "status", "code"),
    [
        (KIM, {}, 403, "Forbidden"),
        (DANA, {"additional_data": {"recipient": {"userId": DANA}}}, 400, "BadRequest"),
        (DANA, {"activity_type": "diskFull"}, 400, "BadRequest"),
        ("nobody@harbor.example.com", {}, 404, "Request_ResourceNotFound"),
    ],
)
async def test_it_reads_the_envelope_of_errors(
    graph: Any, user: str, changes: dict[str, Any], status: int, code: str
) -> None:
    """Status, code, message and the request's id."""
    kind = of(f"{_MODELS}.o_data_errors.o_data_error", "ODataError")
    with pytest.raises(kind) as refused:
        await graph.users.by_user_id(user).teamwork.send_activity_notification.post(body(**changes))
    error = refused.value.error
    assert (refused.value.response_status_code, error.code) == (status, code)
    assert error.inner_error.request_id
    assert error.message


async def test_it_finds_installation_and_chat(graph: Any) -> None:
    """Installed apps with the app expanded, and the chat of one."""
    kind = "msgraph.generated.users.item.teamwork.installed_apps.installed_apps_request_builder"
    builder = of(kind, "InstalledAppsRequestBuilder")
    query = builder.InstalledAppsRequestBuilderGetQueryParameters(expand=["teamsApp"], filter=f"teamsApp/id eq '{APP}'")
    configured = of("kiota_abstractions.base_request_configuration", "RequestConfiguration")(query_parameters=query)
    installed = graph.users.by_user_id(LEE).teamwork.installed_apps
    (found,) = (await installed.get(request_configuration=configured)).value
    assert found.teams_app.external_id == BOT
    chat = await installed.by_user_scope_teams_app_installation_id(found.id).chat.get()
    assert (chat.id, chat.chat_type.value) == (f"19:{LEE}_{BOT}@unq.gbl.spaces", "oneOnOne")
