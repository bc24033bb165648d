"""Looking, settling, watching, connecting, keys and tenants on the fake channel."""

import datetime as dt

import grpc
import pytest
from patchbay_client import errors
from patchbay_client.gen.patchbay import v1

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, directory_pb2, dispatch_pb2, failure_pb2, identity_pb2
from server.gen.patchbay.v1 import executor_pb2 as pb
from tests.client.playing import stage

CODE = grpc.StatusCode
ID = "11111111-1111-4111-8111-111111111111"


def test_get_by_key() -> None:
    """An execution can be named by its key instead of its id."""
    with stage(tenant="acme") as played:
        result = played.call(played.client.executions.get, key="k")
        received = played.take("ActionExecutor/GetExecution")
        assert received.request.WhichOneof("name") == "idempotency_key"
        assert not received.request.HasField("wait")
        received.answer(pb.GetExecutionResponse(execution=pb.Execution(id=ID, replayed=True)))
        assert result.result().replayed


@pytest.mark.parametrize("names", [{}, {"execution_id": ID, "key": "k"}])
def test_get_needs_one_name(names: dict) -> None:
    """Naming an execution twice or not at all is refused before any call."""
    with stage() as played, pytest.raises(ValueError, match="by its id or by its key"):
        played.client.executions.get(**names)


def test_get_waits_through_an_outage() -> None:
    """Waiting for an execution goes on after a lost connection, and returns it as it is when time is over."""
    running = pb.GetExecutionResponse(execution=pb.Execution(id=ID, state=pb.EXECUTION_STATE_RUNNING))
    with stage() as played:
        result = played.call(played.client.executions.get, ID, wait=0.5)
        played.take("ActionExecutor/GetExecution").refuse(CODE.UNAVAILABLE, "gone")
        for _ in range(3):
            played.take("ActionExecutor/GetExecution").answer(running)
        assert result.result().running
    assert sum(played.clock.pauses) == pytest.approx(0.5)


def test_list_pages() -> None:
    """A page has its executions and the token of the next."""
    with stage() as played:
        result = played.call(played.client.executions.list, action="a.b", run="r", page_size=2, page_token="t")
        received = played.take("ActionExecutor/ListExecutions")
        assert (received.request.page_size, received.request.page_token) == (2, "t")
        received.answer(pb.ListExecutionsResponse(executions=[pb.Execution(id=ID)], next_page_token="u"))
        page = result.result()
    assert [item.id for item in page.executions] == [ID]
    assert page.next_page_token == "u"


@pytest.mark.parametrize(
    ("verdict", "arm", "effect"),
    [
        ("succeeded", "succeeded", 0),
        ("nothing_happened", "failed", failure_pb2.EFFECT_NONE),
        ("something_happened", "failed", failure_pb2.EFFECT_APPLIED),
    ],
)
def test_resolve(verdict: str, arm: str, effect: int) -> None:
    """Each verdict sets its arm of the request; a success without output is still a success."""
    with stage() as played:
        result = played.call(played.client.executions.resolve, ID, verdict, reason="looked")
        received = played.take("ActionExecutor/ResolveExecution")
        assert received.request.WhichOneof("verdict") == arm
        assert received.request.failed.effect == effect
        received.answer(pb.ResolveExecutionResponse(execution=pb.Execution(id=ID)))
        assert result.result().id == ID


def test_cancel() -> None:
    """Cancelling names the execution and the reason."""
    with stage() as played:
        result = played.call(played.client.executions.cancel, ID, reason="wrong device")
        received = played.take("ActionExecutor/CancelExecution")
        assert (received.request.id, received.request.reason) == (ID, "wrong device")
        received.answer(pb.CancelExecutionResponse(execution=pb.Execution(id=ID, state=1)))
        assert result.result().running


def test_validate() -> None:
    """Validation sends the call and brings back what is at fault."""
    with stage(tenant="acme") as played:
        result = played.call(played.client.validate, "a.b", {"n": 1})
        received = played.take("ActionExecutor/ValidateAction")
        assert received.request.call.tenant == "acme"
        response = pb.ValidateActionResponse(action="a.b", version=1)
        response.violations.add(field="input.n", message="must be a text", rule="type")
        received.answer(response)
        assert result.result().violations[0].field == "input.n"


def test_options() -> None:
    """Choices of a field are asked with the text and what is filled in so far."""
    with stage() as played:
        result = played.call(played.client.options, "a.b", "agent_id", query="srv", inputs={"site": "x"})
        received = played.take("Catalog/ListFieldOptions")
        assert (received.request.field, received.request.query) == ("agent_id", "srv")
        assert received.request.inputs["site"] == "x"
        option = catalog_pb2.FieldOption(label="SRV-1")
        option.value.string_value = "id-1"
        received.answer(catalog_pb2.ListFieldOptionsResponse(options=[option]))
        assert result.result().options[0].value.string_value == "id-1"


def test_action_definition() -> None:
    """One action's definition is returned whole."""
    with stage() as played:
        result = played.call(played.client.action, "a.b", version=2)
        received = played.take("Catalog/GetAction")
        assert received.request.version == 2
        definition = catalog_pb2.ActionDefinition(rpc="/x/Y", permission="a.b")
        definition.timeout.FromSeconds(90)
        received.answer(catalog_pb2.GetActionResponse(action=definition))
        assert result.result().timeout == dt.timedelta(seconds=90)


def test_connect_refused_by_vendor() -> None:
    """A vendor's refusal is raised with its failure; the grant went with the request."""
    with stage() as played:
        result = played.call(
            played.client.connections.connect,
            "tacticalrmm",
            {"instance_url": "http://rmm.example.test"},
            private_networks=["10.0.0.0/8"],
            plain_http=True,
        )
        received = played.take("Connections/Connect")
        assert list(received.request.grant.private_networks) == ["10.0.0.0/8"]
        assert received.request.grant.plain_http
        failure = failure_pb2.Failure(reason="CREDENTIALS_REFUSED", message="no")
        received.answer(connections_pb2.ConnectResponse(failure=failure))
        with pytest.raises(errors.ConnectFailed, match="CREDENTIALS_REFUSED") as caught:
            result.result()
    assert caught.value.connection is None


def test_connect_without_grant() -> None:
    """Without a grant none is sent, so that the server's own rule stands."""
    with stage() as played:
        result = played.call(played.client.connections.connect, "tacticalrmm", {})
        received = played.take("Connections/Connect")
        assert not received.request.HasField("grant")
        assert received.request.HasField("settings")
        received.answer(connections_pb2.ConnectResponse(connection=connections_pb2.Connection(id=ID)))
        assert result.result().id == ID


def test_failed_test_keeps_the_connection() -> None:
    """A failed test brings the stored connection with its failure."""
    with stage() as played:
        result = played.call(played.client.connections.test, "tacticalrmm")
        response = connections_pb2.TestConnectionResponse(
            connection=connections_pb2.Connection(id=ID), failure=failure_pb2.Failure(reason="X")
        )
        played.take("Connections/TestConnection").answer(response)
        with pytest.raises(errors.ConnectFailed) as caught:
            result.result()
    assert caught.value.connection.id == ID


def test_new_key() -> None:
    """A new key comes with its secret and its end; the secret is not in its text."""
    ends = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    with stage() as played:
        result = played.call(played.client.keys.create, "ci", tenants=["acme"], expires=ends)
        received = played.take("Identity/CreateApiKey")
        assert received.request.expire_time.ToDatetime(dt.UTC) == ends
        received.answer(identity_pb2.CreateApiKeyResponse(key=identity_pb2.ApiKey(id="k"), secret="pb_s"))
        created = result.result()
    assert created.secret == "pb_s"
    assert "pb_s" not in repr(created)


def test_tenants_and_lists() -> None:
    """Tenants are created and listed as plain messages."""
    with stage() as played:
        result = played.call(played.client.tenants.create, "acme")
        received = played.take("Identity/CreateTenant")
        assert received.request.slug == "acme"
        received.answer(identity_pb2.CreateTenantResponse(tenant=identity_pb2.Tenant(id=ID, slug="acme")))
        assert result.result().slug == "acme"
        listed = played.call(played.client.tenants.list)
        tenants = [identity_pb2.Tenant(slug="acme"), identity_pb2.Tenant(slug="other")]
        played.take("Identity/ListTenants").answer(identity_pb2.ListTenantsResponse(tenants=tenants))
        assert [tenant.slug for tenant in listed.result()] == ["acme", "other"]


def test_the_directory_is_called() -> None:
    """Each method makes its call for the client's tenant and returns what the contract answers."""
    with stage(tenant="acme") as played:
        directory = played.client.directory
        dana = v1.DirectoryUser(id=ID, email="", set_roles=True)
        calls = {
            "UpsertUsers": played.call(directory.upsert_users, [dana], validate_only=True),
            "ListUsers": played.call(directory.users, query="d", technicians_only=True, page_size=2, page_token="t"),
            "DeactivateUser": played.call(directory.deactivate, ID),
            "LinkAccount": played.call(directory.link, ID, "microsoft", ID, email="dana@msp.test"),
            "SetCalendar": played.call(directory.set_calendar, ID, connected=True, calendar_id="c"),
            "UpsertWorkItems": played.call(directory.upsert_work_items, [v1.DirectoryWorkItem(type="ticket", id=ID)]),
            "ListWorkItems": played.call(directory.work_items, query="x"),
        }
        asked = {}
        for name in calls:
            received = played.take(f"Directory/{name}")
            asked[name] = received.request
            received.answer(getattr(directory_pb2, f"{name}Response")())
        assert all(call.result() is not None for call in calls.values())
    assert {request.tenant for request in asked.values()} == {"acme"}
    (sent,) = asked["UpsertUsers"].users
    assert sent.HasField("email")
    assert not sent.HasField("username")
    assert asked["UpsertUsers"].validate_only
    assert (asked["ListUsers"].page_token, asked["ListUsers"].technicians_only) == ("t", True)
    assert (asked["SetCalendar"].connected, asked["SetCalendar"].calendar_id) == (True, "c")


def event(revision: str, kind: str) -> catalog_pb2.WatchCatalogResponse:
    """One event of a watch."""
    told = catalog_pb2.WatchCatalogResponse(revision=revision)
    getattr(told, kind).SetInParent()
    return told


def test_watch_resumes_by_itself() -> None:
    """A watch that was cut goes on after the last revision seen, heartbeats included."""
    with stage(tenant="acme") as played:
        events = played.client.watch(heartbeats=True)
        first = played.call(next, events)
        stream = played.take("Catalog/WatchCatalog")
        assert (stream.request.tenant, stream.request.resume_from) == ("acme", "")
        stream.send(event("r1", "snapshot"))
        assert first.result().snapshot is not None
        stream.send(event("r2", "heartbeat"))
        assert played.call(next, events).result().revision == "r2"
        third = played.call(next, events)
        stream.end(CODE.UNAVAILABLE, "gone")
        resumed = played.take("Catalog/WatchCatalog")
        assert resumed.request.resume_from == "r2"
        resumed.send(event("r3", "change"))
        assert third.result().revision == "r3"
        played.call(events.close).result()
        resumed.rpc.cancelled()


def test_watch_keeps_heartbeats_back() -> None:
    """Signs of life are not yielded unless asked for."""
    with stage() as played:
        events = played.client.watch()
        result = played.call(next, events)
        stream = played.take("Catalog/WatchCatalog")
        stream.send(event("r1", "heartbeat"))
        stream.send(event("r2", "change"))
        assert result.result().revision == "r2"
        played.call(events.close).result()


def test_watch_is_refused() -> None:
    """A watch that is not allowed is raised, not tried for ever."""
    with stage() as played:
        result = played.call(next, played.client.watch())
        played.take("Catalog/WatchCatalog").end(CODE.PERMISSION_DENIED, "no")
        with pytest.raises(errors.PermissionDenied):
            result.result()


def test_watch_gives_up() -> None:
    """A server that stays away longer than the outage ends the watch."""
    with stage(outage=0.5) as played:
        result = played.call(next, played.client.watch())
        for _ in range(4):
            played.take("Catalog/WatchCatalog").end(CODE.UNAVAILABLE, "gone")
        with pytest.raises(errors.Unavailable):
            result.result()
    assert played.clock.pauses == pytest.approx([0.1, 0.2, 0.4])


def test_board() -> None:
    """A board is asked for by its first day; days, users and pages go along."""
    with stage(tenant="acme") as played:
        result = played.call(
            played.client.board, dt.date(2027, 3, 1), days=7, timezone="Europe/Vienna", users=[ID], page_token="t"
        )
        received = played.take("Dispatch/GetBoard")
        asked = received.request
        assert (asked.tenant, asked.first_day, asked.days, asked.timezone) == ("acme", "2027-03-01", 7, "Europe/Vienna")
        assert (list(asked.user_ids), asked.page_token) == ([ID], "t")
        received.answer(dispatch_pb2.GetBoardResponse(days=7, next_page_token="u"))
        assert result.result().next_page_token == "u"


def test_a_new_feed_keeps_its_address_out_of_texts() -> None:
    """The address is in `path` and `url`, not in the object's text; making a feed is not repeated by itself."""
    with stage(tenant="acme") as played:
        result = played.call(played.client.feeds.create, ID, label="Phone")
        received = played.take("Dispatch/CreateFeed")
        assert (received.request.user_id, received.request.label) == (ID, "Phone")
        told = dispatch_pb2.CreateFeedResponse(feed=dispatch_pb2.Feed(id=ID), path="/feeds/secret.ics", url="https://s")
        received.answer(told)
        made = result.result()
    assert (made.path, made.url, made.feed.id) == ("/feeds/secret.ics", "https://s", ID)
    assert "secret" not in repr(made)
    with stage() as played:
        result = played.call(played.client.feeds.create, ID)
        played.take("Dispatch/CreateFeed").refuse(CODE.UNAVAILABLE, "gone")
        with pytest.raises(errors.Unavailable):
            result.result()


def test_feeds_are_listed_and_revoked() -> None:
    """Lists can be of one technician; revoking returns the feed as it is then."""
    with stage() as played:
        result = played.call(played.client.feeds.list, user=ID)
        received = played.take("Dispatch/ListFeeds")
        assert received.request.user_id == ID
        received.answer(dispatch_pb2.ListFeedsResponse(feeds=[dispatch_pb2.Feed(id="f")]))
        assert [feed.id for feed in result.result()] == ["f"]
        result = played.call(played.client.feeds.revoke, ID)
        received = played.take("Dispatch/RevokeFeed")
        assert received.request.feed_id == ID
        received.answer(dispatch_pb2.RevokeFeedResponse(feed=dispatch_pb2.Feed(id="f")))
        assert result.result().id == "f"
