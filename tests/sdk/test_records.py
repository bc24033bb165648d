"""Devices and alerts: where vendors' rows have them, and what is told of them."""

from datetime import UTC, datetime

import pytest

from server.gen.patchbay.modules.levelio.v1 import levelio_pb2 as level
from server.gen.patchbay.modules.ninjaone.v1 import ninjaone_pb2 as ninja
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2 as tactical
from server.sdk import Alert, Device
from server.sdk.alerts import Alerts
from server.sdk.devices import Devices
from server.sdk.rows import joined, read_from, unless

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = {
    "id": 7,
    "displayName": "",
    "systemName": "FS-01",
    "organizationId": 12,
    "nodeClass": "SERVER",
    "offline": False,
    "lastContact": NOON.timestamp(),
    "os": {"name": "Windows"},
    "assetId": "the vendor's",
    "source": "the vendor's",
}
DEVICES = Devices(
    ninja.Device, "ninjaone", external_device_id="device_id", display_name="name", agent_online="online"
).where(
    display_name=("displayName", "systemName"),
    hostname="systemName",
    agent_online=unless("offline"),
    last_seen_at="lastContact",
    os_name="os.name",
)
ALERTS = Alerts(level.Alert, "levelio", alert_id="external_alert_id", name="title", is_resolved="over")


def test_a_row_becomes_a_device_where_the_declaration_says_and_where_names_are_alike() -> None:
    """By name, camelCase, path, alternatives and function; what is no attribute is a detail; our ids are not read."""
    device = DEVICES.of(ROW)
    assert device == Device(
        device_id="7",
        name="FS-01",
        organization_id="12",
        os_name="Windows",
        status="online",
        last_seen_at=NOON,
        details={"hostname": "FS-01", "dns_name": None, "node_class": "SERVER"},
    )


def test_a_device_becomes_the_message_with_attributes_under_their_other_names() -> None:
    """Details by their names; the source is the provider unless it is given."""
    message = DEVICES.told(DEVICES.of(ROW, "31"))
    assert (message.external_device_id, message.display_name, message.hostname) == ("31", "FS-01", "FS-01")
    assert (message.agent_online, message.source, message.HasField("asset_id")) == (True, "ninjaone", False)
    assert DEVICES.told(DEVICES.of(ROW), "local").source == "local"


def test_what_does_not_fit_is_absent_and_rows_without_an_id_are_nobody() -> None:
    """Nonsense in a field costs that field only."""
    odd = {"id": 1, "displayName": [], "offline": "no", "lastContact": "soon", "os": "x", "organizationId": {}}
    assert DEVICES.each([odd, {}, {"id": None}, {"id": ""}]) == [
        Device(device_id="1", details={"hostname": None, "dns_name": None, "node_class": None})
    ]


def test_the_vendors_word_for_a_status_is_kept() -> None:
    """Where a message tells both, `online` follows from it."""
    agents = Devices(tactical.Agent, "tacticalrmm", agent_id="device_id", hostname="name", agent_online="online")
    agent = agents.of({"agent_id": "a", "id": 3, "status": "overdue"})
    assert (agent.device_id, agent.status, agents.told(agent).agent_online) == ("a", "overdue", False)


@pytest.mark.parametrize(("told", "status"), [(True, "resolved"), (False, "active"), (None, "active")])
def test_the_end_of_an_alert_is_read_and_told(told: bool | None, status: str) -> None:
    """Our status never comes from a vendor's field of that name."""
    alert = ALERTS.of({"id": "a", "is_resolved": told, "status": "triggered", "device_hostname": "pc"})
    assert (alert.status, alert.over, alert.details["device_hostname"]) == (status, status == "resolved", "pc")
    assert ALERTS.told(alert).is_resolved is (status == "resolved")


def test_an_alert_that_was_closed_in_the_book_is_told_as_over() -> None:
    """Whatever the vendor told when it was active."""
    assert ALERTS.told(Alert(external_alert_id="a", status="resolved")).is_resolved


def test_a_declaration_that_cannot_be_right_is_refused() -> None:
    """A typo in the name of a field or an attribute, and a message without the id, show when the module is imported."""
    with pytest.raises(ValueError, match=r"ninjaone\.v1\.Device has no host_name"):
        DEVICES.where(host_name="systemName")
    with pytest.raises(ValueError, match=r"ninjaone\.v1\.Device has no host_name"):
        Devices(ninja.Device, "ninjaone", host_name="name")
    with pytest.raises(ValueError, match=r"^Device has no title"):
        Devices(ninja.Device, "ninjaone", external_device_id="device_id", display_name="title")
    with pytest.raises(ValueError, match=r"ninjaone\.v1\.Device has no device_id"):
        Devices(ninja.Device, "ninjaone")


def test_a_declaration_for_another_vendor_leaves_the_first_one_alone() -> None:
    """Each `where` stands for itself."""
    DEVICES.where(external_device_id="uid")
    assert DEVICES.of(ROW).device_id == "7"


def test_rows_are_joined_with_what_is_known_of_a_text() -> None:
    """Numbers count as text; what is not known is None."""
    rows = joined([{"org": 1}, {"org": "2"}, {}], "name", "org", {"1": "One"})
    assert [row["name"] for row in rows] == ["One", None, None]


def test_the_first_place_that_has_something_counts() -> None:
    """A path ends where a row has something else than an object."""
    read = read_from(("a.b", "c"), lambda value: value)
    assert [read(row) for row in ({"a": {"b": 1}, "c": 2}, {"a": 3, "c": 2}, {"a": {}}, {})] == [1, 2, None, None]
