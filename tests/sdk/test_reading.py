"""Reading vendors' JSON: what fits is taken, what does not is absent."""

from datetime import UTC, datetime, timedelta

import pytest

from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2 as pb
from server.gen.patchbay.v1 import executor_pb2
from server.sdk import ActionFailure, OutcomeUnknown
from server.sdk.http import HttpResponse
from server.sdk.reading import an_object, filled, flag, inner, inner_rows, moment, number, objects, text, whole
from tests.gen.torture.v1 import torture_pb2

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answer(body: bytes, *, wrote: bool = False) -> HttpResponse:
    """Returns an answer of a vendor."""
    return HttpResponse(200, {}, body, wrote)


def test_an_object_is_found_bare_or_under_its_name() -> None:
    """A wrapper is taken off when it is there; an object without it is taken as it stands."""
    assert an_object(answer(b'{"account": {"id": 1}}'), "account") == {"id": 1}
    assert an_object(answer(b'{"id": 1}'), "account") == {"id": 1}
    assert an_object(answer(b'{"account": 3}'), "account") == {"account": 3}


def test_a_list_is_found_bare_or_under_its_name() -> None:
    """Both envelopes of a list are understood."""
    assert objects(answer(b'{"data": [{"id": 1}]}'), "data") == [{"id": 1}]
    assert objects(answer(b'[{"id": 1}]'), "data") == [{"id": 1}]
    assert objects(answer(b"[]")) == []


def test_what_a_row_holds_is_empty_where_it_is_missing_or_something_else() -> None:
    """Vendors leave inner objects and lists out, or put other things in their place."""
    row = {"os": {"name": "x"}, "tags": ["a", {"id": 1}], "none": None, "text": "x"}
    assert [inner(row, name) for name in ("os", "tags", "none", "text", "absent")] == [{"name": "x"}, {}, {}, {}, {}]
    assert [inner_rows(row, name) for name in ("tags", "os", "none", "absent")] == [[{"id": 1}], [], [], []]


@pytest.mark.parametrize("body", [b"3", b'"text"', b"null", b'[{"id": 1}, 2]', b'{"data": {}}', b"<html>"])
def test_another_kind_of_answer_is_a_failure_that_knows_whether_it_was_a_write(body: bytes) -> None:
    """A read's nonsense is VENDOR_ANSWER_INVALID without effect, that of a write an unknown outcome."""
    with pytest.raises(ActionFailure) as read:
        objects(answer(body), "data")
    assert read.value.failure.reason == "VENDOR_ANSWER_INVALID"
    with pytest.raises(OutcomeUnknown):
        objects(answer(body, wrote=True), "data")


@pytest.mark.parametrize(
    ("read", "given", "wanted"),
    [
        (text, "ä", "ä"),
        (text, 12, "12"),
        (text, "", None),
        (text, True, None),
        (text, 1.5, None),
        (text, "a\ud800b", "a?b"),
        (whole, 3, 3),
        (whole, 3.0, 3),
        (whole, 3.5, None),
        (whole, True, None),
        (whole, "3", None),
        (number, 3, 3.0),
        (number, float("nan"), None),
        (number, 10**400, None),
        (number, False, None),
        (flag, False, False),
        (flag, 0, None),
        (moment, "2026-03-01T13:00:00+01:00", NOON),
        (moment, "2026-03-01T12:00:00", NOON),
        (moment, "2026-03-01T12:00:00Z", NOON),
        (moment, NOON.timestamp(), NOON),
        (moment, 1e20, None),
        (moment, "yesterday", None),
        (moment, None, None),
        (moment, True, None),
    ],
)
def test_a_value_is_read_as_its_type_or_is_absent(read: object, given: object, wanted: object) -> None:
    """Values of the right type are taken, near ones are converted, all others are None."""
    assert read(given) == wanted  # type: ignore[operator]


def test_a_message_takes_what_fits_by_name_and_type() -> None:
    """Ids may be numbers, times texts or seconds; fields of another type stay unset, known values win over the row."""
    row = {"agent_id": 7, "hostname": "SRV", "last_seen_at": NOON.timestamp(), "agent_online": "yes", "os_name": 4.5}
    agent = filled(pb.Agent, row, source="local", hostname="renamed", site_name=None)
    assert (agent.agent_id, agent.hostname, agent.source) == ("7", "renamed", "local")
    assert agent.last_seen_at.ToDatetime(UTC) == NOON
    assert not agent.HasField("agent_online")
    assert not agent.HasField("os_name")
    assert not agent.HasField("site_name")


def test_a_field_is_found_in_snake_case_or_camel_case() -> None:
    """As vendors write names; the contract's own spelling comes first."""
    agent = filled(pb.Agent, {"siteName": "Pier", "osName": "x", "os_name": "Linux"})
    assert (agent.site_name, agent.os_name) == ("Pier", "Linux")


def test_lists_take_the_items_that_fit() -> None:
    """An item of another type is left out; something that is no list leaves the field empty."""
    assert filled(pb.Script, {"supported_platforms": ["windows", None, 3, {}]}).supported_platforms == ["windows", "3"]
    assert filled(pb.Script, {"supported_platforms": "windows"}).supported_platforms == []


def test_nested_objects_fill_nested_messages() -> None:
    """Objects become messages, spans of time durations; an object where a text belongs is absent."""
    told = filled(executor_pb2.Execution, {"id": {}, "failure": {"reason": "X"}, "budget_wait": timedelta(seconds=2)})
    assert told.id == ""
    assert told.failure.reason == "X"
    assert told.budget_wait.seconds == 2


def test_any_json_fills_any_field_of_any_type_without_an_error() -> None:
    """No value of a vendor, whatever the field's type, raises."""
    kind = torture_pb2.DESCRIPTOR.message_types_by_name
    values = [None, True, 0, -1, 2**70, 1e300, float("inf"), "", "x", [], [None, 1, "a", {}], {}, {"a": 1}, {"a": [{}]}]
    for descriptor in kind.values():
        message = getattr(torture_pb2, descriptor.name)
        for value in values:
            filled(message, {field.name: value for field in descriptor.fields})
