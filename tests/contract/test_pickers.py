"""What a contract leaves out of its pickers and labels, and what is read instead."""

import pytest

from server.contract.labels import field_label, rpc_label, thing_label
from server.contract.own import own_modules
from server.gen.patchbay.v1 import options_pb2


@pytest.mark.parametrize(
    ("label", "made"),
    [
        ("Find devices", rpc_label("FindDevices")),
        ("Get API key", rpc_label("GetAPIKey")),
        ("List active alerts", rpc_label("ListActiveAlerts")),
        ("API key", field_label("api_key")),
        ("OAuth path", field_label("oauth_path")),
        ("Login URL", field_label("login_url")),
        ("Run as", field_label("run_as")),
        ("Device", thing_label("device_id")),
        ("Devices", thing_label("device_ids")),
        ("Alert", thing_label("alert_uid")),
        ("Page", thing_label("page_uuid")),
        ("Mentions", thing_label("mentions")),
        ("Grid", thing_label("grid")),
    ],
)
def test_labels_are_made_from_names(label: str, made: str) -> None:
    """A name in a contract becomes words: abbreviations as people write them, ids as what they are ids of."""
    assert made == label


def _pickers(provider: str, action: str) -> dict[str, options_pb2.Picker]:
    module = next(one for one in own_modules() if one.provider == provider)
    return dict(next(one for one in module.actions if one.id == f"{provider}.{action}").pickers)


def test_a_picker_takes_from_its_listing_what_it_does_not_say() -> None:
    """The only list, the field's own name as value, `query`, `limit`, and required inputs that the message has."""
    agent = _pickers("tacticalrmm", "agents.reboot")["agent_id"]
    assert (agent.items_path, agent.value_path) == ("agents", "agent_id")
    assert (agent.search_field, agent.limit_field) == ("query", "limit")
    assert list(agent.depends_on) == []
    assert list(_pickers("ninjaone", "devices.run_script")["script_id"].depends_on) == ["device_id"]


def test_of_several_lists_nobody_knows_which_one_is_searched() -> None:
    """A listing with two lists gives a picker neither `query` nor a list: it has to say them."""
    run_as = _pickers("ninjaone", "devices.run_script")["run_as"]
    assert (run_as.items_path, run_as.search_field, run_as.limit_field) == ("run_as", "", "")


def test_a_listing_has_no_picker_that_asks_itself() -> None:
    """The device of the action that lists devices is free input; the same field of other actions has choices."""
    assert "device_id" not in _pickers("levelio", "devices.find")
    assert _pickers("levelio", "updates.list")["device_id"] == _pickers("levelio", "devices.get")["device_id"]


def test_a_field_keeps_its_own_picker() -> None:
    """A picker that a field declares stands, although the module has one for fields of its name."""
    found, resolved = _pickers("huntress", "incidents.get"), _pickers("huntress", "incidents.resolve")
    assert (found["incident_id"].detail_path, found["incident_id"].fixed_input_json) == ("status", "")
    assert resolved["incident_id"].detail_path == "severity"
    assert resolved["incident_id"].fixed_input_json == '{"status": "sent"}'
