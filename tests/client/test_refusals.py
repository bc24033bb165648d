"""Every gRPC status becomes its typed error, with what the details say."""

import grpc
import pytest
from google.rpc import error_details_pb2
from patchbay_client import errors
from patchbay_client.errors import CallRefused

from server.gen.patchbay.v1 import catalog_pb2
from tests.client.playing import after, because, stage

CODE = grpc.StatusCode

CASES = [
    (CODE.UNAUTHENTICATED, "CREDENTIALS_MISSING", errors.Unauthenticated),
    (CODE.UNAUTHENTICATED, "CREDENTIALS_REVOKED", errors.Unauthenticated),
    (CODE.PERMISSION_DENIED, "TENANT_FORBIDDEN", errors.PermissionDenied),
    (CODE.INVALID_ARGUMENT, "INPUT_INVALID", errors.InvalidInput),
    (CODE.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REQUIRED", errors.InvalidInput),
    (CODE.NOT_FOUND, "ACTION_UNKNOWN", errors.NotFound),
    (CODE.ALREADY_EXISTS, "TENANT_EXISTS", errors.AlreadyExists),
    (CODE.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED", errors.KeyReused),
    (CODE.ALREADY_EXISTS, "IDEMPOTENCY_KEY_RETIRED", errors.KeyReused),
    (CODE.FAILED_PRECONDITION, "EXECUTION_STATE", errors.WrongState),
    (CODE.ABORTED, "EXECUTION_IN_FLIGHT", errors.InFlight),
    (CODE.RESOURCE_EXHAUSTED, "OVERLOADED", errors.Overloaded),
    (CODE.UNAVAILABLE, "DRAINING", errors.Unavailable),
    (CODE.CANCELLED, "", errors.Unavailable),
    (CODE.DEADLINE_EXCEEDED, "", errors.DeadlineExceeded),
    (CODE.INTERNAL, "INTERNAL", errors.ServerDefect),
    (CODE.UNIMPLEMENTED, "", errors.ServerDefect),
    (CODE.UNKNOWN, "", errors.ServerDefect),
    (CODE.INTERNAL, "INPUT_TOO_LARGE", errors.ServerDefect),
]


@pytest.mark.parametrize(("status", "reason", "kind"), CASES, ids=str)
def test_status(status: grpc.StatusCode, reason: str, kind: type[CallRefused]) -> None:
    """A status with its reason raises exactly its type, and the type knows both."""
    details = [because(reason)] if reason else []
    with stage(outage=0.0) as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(status, "so it is", *details)
        with pytest.raises(CallRefused, match="so it is") as caught:
            result.result()
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (status, reason)


def test_refusal_reasons_are_all_covered() -> None:
    """Each status that the contract lists for a refusal has a type of its own, but for a defect's."""
    from server.gen.patchbay.v1 import failure_pb2  # noqa: PLC0415 - the contract, for this test only

    numbers = {
        value.GetOptions().Extensions[failure_pb2.refusal].status
        for value in failure_pb2.RefusalReason.DESCRIPTOR.values[1:]
    }
    listed = {code.value[0] for code, _, kind in CASES if kind is not errors.ServerDefect}
    assert numbers - listed == {CODE.INTERNAL.value[0]}


def test_violations() -> None:
    """The fields at fault stand in the error and in its text."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="input.args[2]", description="is too long", reason="string.max_len")
    bad.field_violations.add(field="input.agent_id", description="is missing")
    with stage() as played:
        result = played.call(played.client.execute, "a.b", {})
        received = played.take("ActionExecutor/ExecuteAction")
        received.refuse(CODE.INVALID_ARGUMENT, "invalid", because("INPUT_INVALID", remedy="Correct it."), bad)
        with pytest.raises(errors.InvalidInput) as caught:
            result.result()
    first, second = caught.value.violations
    assert (first.field, first.message, first.rule) == ("input.args[2]", "is too long", "string.max_len")
    assert second.field == "input.agent_id"
    assert caught.value.remedy == "Correct it."
    assert str(caught.value) == "input.args[2]: is too long; input.agent_id: is missing"


def test_in_flight_advice() -> None:
    """A key in flight tells when to call again."""
    with stage() as played:
        result = played.call(played.client.execute, "a.b", {}, key="k", in_flight="fail")
        played.take("ActionExecutor/ExecuteAction").refuse(
            CODE.ABORTED, "in flight", because("EXECUTION_IN_FLIGHT"), after(2.5)
        )
        with pytest.raises(errors.InFlight) as caught:
            result.result()
    assert caught.value.retry_after == 2.5


def test_foreign_domain() -> None:
    """A reason from another domain is not taken for one of ours."""
    foreign = error_details_pb2.ErrorInfo(reason="IDEMPOTENCY_KEY_REUSED", domain="example.com")
    with stage() as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(CODE.ALREADY_EXISTS, "proxy", foreign)
        with pytest.raises(errors.AlreadyExists) as caught:
            result.result()
    assert type(caught.value) is errors.AlreadyExists
    assert caught.value.reason == ""


@pytest.mark.parametrize("message", ["Received RST_STREAM with error code 2", "Stream removed"])
def test_broken_stream(message: str) -> None:
    """A connection that breaks under a call is an outage, whatever status the transport gives it."""
    with stage() as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(CODE.INTERNAL, message)
        played.take("Catalog/GetCatalog").answer(catalog_pb2.GetCatalogResponse(etag="e"))
        assert result.result().etag == "e"


def test_read_is_repeated_through_an_outage() -> None:
    """A read is asked again with growing pauses until the server is back."""
    with stage() as played:
        result = played.call(played.client.catalog)
        for _ in range(3):
            played.take("Catalog/GetCatalog").refuse(CODE.UNAVAILABLE, "gone")
        played.take("Catalog/GetCatalog").answer(catalog_pb2.GetCatalogResponse(etag="e"))
        assert result.result().etag == "e"
    assert played.clock.pauses == [0.1, 0.2, 0.4]


def test_outage_ends() -> None:
    """A server that stays away is given up after the outage's time, not before."""
    with stage(outage=2.0) as played:
        result = played.call(played.client.catalog)
        for _ in range(5):
            played.take("Catalog/GetCatalog").refuse(CODE.UNAVAILABLE, "gone")
        with pytest.raises(errors.Unavailable, match="gone"):
            result.result()
    assert sum(played.clock.pauses) == pytest.approx(1.5)


def test_advice_beyond_patience() -> None:
    """Overload that asks for more time than there is, is raised at once with its advice."""
    with stage(outage=2.0) as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(CODE.RESOURCE_EXHAUSTED, "busy", because("OVERLOADED"), after(30))
        with pytest.raises(errors.Overloaded) as caught:
            result.result()
    assert caught.value.retry_after == 30.0
    assert played.clock.pauses == []


def test_advice_is_followed() -> None:
    """Overload that asks for a second is given that second."""
    with stage() as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(CODE.RESOURCE_EXHAUSTED, "busy", because("OVERLOADED"), after(1))
        played.take("Catalog/GetCatalog").answer(catalog_pb2.GetCatalogResponse())
        result.result()
    assert played.clock.pauses == [1.0]


def test_oversize_is_not_repeated() -> None:
    """RESOURCE_EXHAUSTED by the channel itself, for a message too large, is never tried again."""
    with stage() as played:
        result = played.call(played.client.catalog)
        played.take("Catalog/GetCatalog").refuse(CODE.RESOURCE_EXHAUSTED, "larger than max")
        with pytest.raises(errors.Overloaded, match="larger"):
            result.result()
    assert played.clock.pauses == []


@pytest.mark.parametrize("secret", ["planted-secret"])
def test_connect_is_not_repeated(secret: str) -> None:
    """Connecting, which is not repeatable, is tried once, and its error does not hold the settings."""
    with stage() as played:
        result = played.call(played.client.connections.connect, "tacticalrmm", {"api_key": secret})
        received = played.take("Connections/Connect")
        assert received.request.settings["api_key"] == secret
        received.refuse(CODE.UNAVAILABLE, "gone")
        with pytest.raises(errors.Unavailable) as caught:
            result.result()
    assert secret not in repr(caught.value) + str(caught.value)
