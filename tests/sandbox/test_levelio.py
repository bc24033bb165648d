"""The simulated Level account: keys, pages, parts of devices, alerts, triggers, runs, and what it refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sandbox.client import SandboxControl, SandboxRefused
from sandbox.control import seed_of
from sandbox.levelio import create_app
from sandbox.serving import SandboxServer
from tests.support.shared import shared
from tests.support.web import fetch

SEED = seed_of("levelio")
DEVICES = {row["hostname"]: row["id"] for row in SEED["devices"]}
AUTOMATIONS = {row["name"]: row["id"] for row in SEED["automations"]}
ALERT = SEED["alerts"][0]["id"]
SERVER = DEVICES["NORTHWIND-APP02"]


class Level:
    """Blocking requests to the simulated account."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.control = SandboxControl(url)
        self.keys = self.control.credentials()

    def __call__(self, method: str, path: str, body: Any = None, key: str | None = "") -> tuple[int, Any]:
        """Status and parsed body; an empty body is None. Key: the one that may write when empty, none when None."""
        headers = {} if key is None else {"Authorization": key or self.keys["api_key"]}
        answer = fetch(self._url, method, f"/v2/{path}", body, headers)
        return answer.status, answer.json() if answer.body else None

    def ids(self, path: str) -> list[str]:
        """Ids of a list's rows."""
        status, answer = self("GET", path)
        assert status == 200
        return [row["id"] for row in answer["data"]]


@pytest.fixture
def level() -> Iterator[Level]:
    """The demo world."""
    with SandboxServer(create_app()) as running:
        yield Level(running.url)


def test_only_a_known_bare_key_is_let_in(level: Level) -> None:
    """No key, an unknown one and `Bearer` in front of a good one are 401 with the vendor's words."""
    for key in (None, "lk-wrong", f"Bearer {level.keys['api_key']}"):
        assert level("GET", "alerts", key=key) == (401, {"error": "Access denied"})
    assert level("GET", "alerts", key=level.keys["read_only_key"])[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"alerts/{ALERT}/resolve"),
        ("PATCH", f"devices/{SERVER}"),
        ("DELETE", "tags/x"),
    ],
)
def test_a_read_only_key_may_not_write(level: Level, method: str, path: str) -> None:
    """403, and nothing happens."""
    assert level(method, path, {}, level.keys["read_only_key"])[0] == 403
    assert level.control.effects().total == 0


@pytest.mark.parametrize("path", ["automation-runs", "organizations", "folders", "devices/none", "alerts/none", ""])
def test_what_does_not_exist_is_404(level: Level, path: str) -> None:
    """Unknown ids, and the lists that Level does not have."""
    assert level("GET", path) == (404, {"error": "Not found"})


def test_lists_are_walked_forth_and_back(level: Level) -> None:
    """Newest first; cursors are ids; `has_more` says when to stop; names that the vendor ignores change nothing."""
    everything = level.ids("devices?page=2&per_page=1")
    assert everything == list(DEVICES.values())[::-1]
    status, first = level("GET", "devices?limit=4")
    assert (status, first["has_more"]) == (200, True)
    _, rest = level("GET", f"devices?limit=4&starting_after={everything[3]}")
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (everything[4:], False)
    assert level.ids(f"devices?limit=2&ending_before={everything[4]}") == everything[2:4]
    assert level("GET", "devices?starting_after=nobody")[0] == 400


@pytest.mark.parametrize(("asked", "given"), [("0", 1), ("1000", 100), ("-5", 1), ("many", 20)])
def test_limits_outside_the_range_are_moved_into_it_or_refused(level: Level, asked: str, given: int) -> None:
    """Clamped by default, 400 when the switch says so."""
    rows = [{"id": f"update-{number}", "installed_on": None} for number in range(120)]
    level.control.patch_state(add_updates=rows)
    assert len(level.ids(f"updates?limit={asked}")) == given
    level.control.patch_state(settings={"bad_limit": "refuse"})
    assert level("GET", f"updates?limit={asked}")[0] == 400


def test_parts_of_a_device_are_told_when_asked_for(level: Level) -> None:
    """Without its flag a part is absent, with any other word than `true` too."""
    _, bare = level("GET", f"devices/{SERVER}?include_security=1")
    assert not {"security", "operating_system", "disks"} & set(bare)
    _, full = level("GET", f"devices/{SERVER}?include_security=true&include_disks=true")
    assert {"security", "disks", "disk_partitions"} <= set(full)
    assert (full["group_name"], "operating_system" in full) == ("Northwind / Servers", False)


def test_devices_are_filtered(level: Level) -> None:
    """By direct group, by any group above, by tag, by exact host name and by serial number."""
    groups = {row["name"]: row["id"] for row in SEED["groups"]}
    tags = {row["name"]: row["id"] for row in SEED["tags"]}
    assert level.ids(f"devices?group_id={groups['Northwind']}") == []
    assert len(level.ids(f"devices?ancestor_group_id={groups['Northwind']}")) == 4
    assert len(level.ids(f"devices?tag_id={tags['patch-ring-2']}")) == 2
    assert level.ids("devices?hostname=northwind-app02") == []
    assert level.ids("devices?hostname=NORTHWIND-APP02") == level.ids("devices?serial_number=SIM410230") == [SERVER]


def test_ids_with_odd_characters_travel_encoded(level: Level) -> None:
    """A slash in an id stays a part of the id."""
    level.control.patch_state(add_devices=[{"id": "a/b+c=", "hostname": "odd"}])
    assert level("GET", "devices/a%2Fb%2Bc%3D")[1]["hostname"] == "odd"
    assert level("GET", "devices/a/b+c=")[0] == 404
    assert level.control.requests()[-2]["raw_path"] == "/v2/devices/a%2Fb%2Bc%3D"


def test_alerts_are_resolved_once(level: Level) -> None:
    """The first call resolves, the second is answered with the same alert; one effect."""
    (alert, *_) = level.ids("alerts?status=active")
    first = level("POST", f"alerts/{alert}/resolve")
    assert first[1]["is_resolved"] is True
    assert level("POST", f"alerts/{alert}/resolve") == first
    assert level.control.effects().by_kind == {"resolve_alert": 1}
    assert alert not in level.ids("alerts?status=active")
    assert level.ids(f"alerts?status=resolved&device_id={first[1]['device_id']}") == [alert]


def test_updates_are_filtered(level: Level) -> None:
    """By device, status and category."""
    assert len(level.ids("updates?status=installed")) == 1
    assert len(level.ids(f"updates?device_id={SERVER}&status=available")) == 2
    assert len(level.ids(f"updates?device_id={SERVER}&category=Firmware")) == 1


def test_an_open_trigger_needs_its_token_only(level: Level) -> None:
    """Neither a key nor a good one is asked for; the runs are those of named devices that meet its conditions."""
    token = level.keys["tokens"]["spooler-servers"]
    wanted = {"device_ids": [SERVER, DEVICES["NORTHWIND-LAB-04"], "nobody"], "unmapped": "x"}
    status, answer = level("POST", f"automations/webhooks/{token}", wanted, None)
    assert (status, [run["device_id"] for run in answer["runs"]]) == (200, [SERVER])
    (effect,) = level.control.effects(kind="trigger").items
    assert (effect["target"], effect["detail"]["parameters"]) == (AUTOMATIONS["Restart print spooler"], {})


def test_a_trigger_without_devices_takes_all_that_meet_its_conditions(level: Level) -> None:
    """An empty object is a full order."""
    _, answer = level("POST", f"automations/webhooks/{level.keys['tokens']['spooler-desks']}", {}, "lk-wrong")
    assert len(answer["runs"]) == 3


def test_a_protected_trigger_asks_for_a_key_that_may_write(level: Level) -> None:
    """401 without one, 403 for one that may only read; mapped parameters reach the automation."""
    path = f"automations/webhooks/{level.keys['tokens']['disk']}"
    body = {"device_ids": [SERVER], "threshold_gb": "20"}
    assert [level("POST", path, body, key)[0] for key in (None, level.keys["read_only_key"], "")] == [401, 403, 200]
    (effect,) = level.control.effects(kind="trigger").items
    assert effect["detail"]["parameters"] == {"threshold_gb": "20"}


def test_a_trigger_may_answer_nothing(level: Level) -> None:
    """With the switch the body is empty, and the runs happen all the same."""
    level.control.patch_state(settings={"trigger_answer": "empty"})
    token = level.keys["tokens"]["onboard"]
    assert level("POST", f"automations/webhooks/{token}", {"device_ids": [SERVER]}) == (200, None)
    assert level.control.effects().by_kind == {"trigger": 1, "run": 1}


def test_a_removed_trigger_takes_its_token_along(level: Level) -> None:
    """404 as for a token that never was; a new trigger gets a token of its own."""
    token = level.keys["tokens"]["onboard"]
    added = {"id": "new", "automation_id": AUTOMATIONS["Weekly report"]}
    level.control.patch_state(remove_triggers=["onboard"], add_triggers=[added])
    for gone in (token, "gone000000"):
        assert level("POST", f"automations/webhooks/{gone}", {}) == (404, {"error": "Not found"})
    assert level("POST", f"automations/webhooks/{level.control.credentials()['tokens']['new']}", {})[0] == 200


def test_triggers_are_listed_in_both_shapes(level: Level) -> None:
    """An envelope or a bare list; the token is the end of the address; there is no id."""
    _, page = level("GET", "automations/webhooks")
    level.control.patch_state(settings={"webhooks_answer": "list"})
    assert level("GET", "automations/webhooks") == (200, page["data"])
    assert {row["url"].rpartition("/")[2] for row in page["data"]} == set(level.keys["tokens"].values())
    assert not any("id" in row for row in page["data"])


def test_runs_move_when_they_are_read(level: Level) -> None:
    """Queued, running, then the automation's end; steps are told on request."""
    _, answer = level("POST", f"automations/webhooks/{level.keys['tokens']['onboard']}", {"device_ids": [SERVER]})
    path = f"automation-runs/{answer['runs'][0]['id']}"
    seen = [level("GET", path)[1] for _ in range(4)]
    assert [run["status"] for run in seen] == ["queued", "running", "error", "error"]
    assert [run["ended_at"] is None for run in seen] == [True, True, False, False]
    assert not any("steps" in run for run in seen)
    assert level("GET", f"{path}?include_steps=true")[1]["steps"][0]["output"] == "Exit code 1603"


def test_runs_move_when_a_test_says_so(level: Level) -> None:
    """With the switch reading changes nothing."""
    level.control.patch_state(settings={"runs_move": "by_test"})
    _, answer = level("POST", f"automations/webhooks/{level.keys['tokens']['onboard']}", {"device_ids": [SERVER]})
    path = f"automation-runs/{answer['runs'][0]['id']}"
    assert [level("GET", path)[1]["status"] for _ in range(2)] == ["queued", "queued"]
    level.control.patch_state(advance_runs=2)
    assert level("GET", path)[1]["status"] == "error"


def test_a_value_for_a_group_is_lost(level: Level) -> None:
    """200 and nothing stored, as live clients saw; the group's own call stores it."""
    field, group = level.ids("custom_fields")[0], level.ids("groups")[0]
    wish = {"custom_field_id": field, "assigned_to_id": group, "value": "bronze"}
    assert level("PATCH", "custom_field_values", wish)[0] == 200
    assert level("GET", f"custom_field_values?assigned_to_id={group}")[1]["data"] == []
    level("PATCH", f"groups/{group}", {"custom_fields": {"Backup plan": "bronze"}})
    assert level("GET", f"groups/{group}")[1]["custom_fields"] == {"Backup plan": "bronze"}
    level.control.patch_state(settings={"group_values_are_lost": False})
    level("PATCH", "custom_field_values", wish)
    assert level("GET", f"custom_field_values?assigned_to_id={group}")[1]["data"][0]["value"] == "bronze"


def test_groups_tags_fields_and_devices_can_be_written(level: Level) -> None:
    """Made, changed, filled, and removed again."""
    group = level("POST", "groups", {"name": "Harbor"})[1]["id"]
    tag = level("POST", "tags", {"name": "new"})[1]["id"]
    field = level("POST", "custom_fields", {"name": "Contact"})[1]["id"]
    assert level("POST", f"groups/{group}/devices", {"device_ids": [SERVER]})[1]["group"]["device_count"] == 1
    assert level("POST", f"tags/{tag}/devices", {"device_ids": [SERVER]})[1]["device_count"] == 1
    level("PATCH", f"tags/{tag}", {"name": "newer"})
    device = level("PATCH", f"devices/{SERVER}", {"name": "App", "notes": "Ticket 7"})[1]
    assert (device["group_name"], device["nickname"], device["tags"][-1]) == ("Harbor", "App", "newer")
    for path in (f"groups/{group}", f"tags/{tag}", f"custom_fields/{field}", f"devices/{SERVER}"):
        assert [level("DELETE", path)[0], level("GET", path)[0]] == [200, 404]


def test_the_control_plane_shows_no_credential(level: Level) -> None:
    """Neither keys nor tokens appear in state, effects or requests; a token looks the same each time."""
    token = level.keys["tokens"]["disk"]
    for _ in range(2):
        level("POST", f"automations/webhooks/{token}", {"device_ids": [SERVER]})
    first, second = level.control.requests()
    assert first["path"] == second["path"] != f"/v2/automations/webhooks/{token}"
    shown = json.dumps([level.control.state(), level.control.effects().items, first, second])
    for secret in (level.keys["api_key"], level.keys["read_only_key"], *level.keys["tokens"].values()):
        assert secret not in shown


def test_a_change_that_cannot_be_made_changes_nothing(level: Level) -> None:
    """Unknown tables, rows, fields and switches are refused as a whole; a reset brings the seed back."""
    seed = level.control.state()
    for wish in (
        {"planets": {}},
        {"devices": {"nobody": {"online": True}}},
        {"devices": {SERVER: {"online": False, "wheels": 4}}},
        {"add_devices": [{"hostname": "without id"}]},
        {"remove_alerts": [ALERT, "nobody"]},
        {"settings": {"runs_move": "never"}},
    ):
        with pytest.raises(SandboxRefused):
            level.control.patch_state(**wish)
        assert level.control.state() == seed
    level.control.patch_state(devices={SERVER: {"online": False}})
    level.control.reset()
    assert level.control.state() == seed


def test_the_demo_world_fits_the_description_of_the_api(level: Level) -> None:
    """Every row that a list tells has the fields and types of the vendor's document, and no others."""
    file = shared("vendors", "level", "openapi.yaml")
    if not file.is_file():
        pytest.skip("the vendor's document is absent; PATCHBAY_SHARED names its folder")
    components = yaml.safe_load(file.read_text(encoding="utf-8"))["components"]
    flags = ("operating_system", "cpus", "memory", "disks", "network_interfaces", "motherboard", "security")
    for path, name in (
        ("devices?" + "&".join(f"include_{flag}=true" for flag in flags), "Device"),
        ("groups", "Group"),
        ("tags", "Tag"),
        ("custom_fields", "CustomField"),
        ("alerts", "Alert"),
        ("updates", "Update"),
        ("automations", "Automation"),
        ("automations/webhooks", "AutomationWebhook"),
    ):
        schema = Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
        rows = level("GET", path)[1]["data"]
        assert rows
        assert [error.message for row in rows for error in schema.iter_errors(row)] == []
        assert {field for row in rows for field in row} <= set(components["schemas"][name]["properties"])
