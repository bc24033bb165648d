"""The simulated NinjaOne instance: refusals, paging, filters, scripts and their activities, alerts, throttling."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.client import SandboxRefused
from tests.sandbox.ninja_caller import NinjaCaller

RUN = {"type": "SCRIPT", "id": 146, "parameters": "-Days 7", "runAs": "system"}
ACTION = {"type": "ACTION", "uid": "7c0a5d0e-1111-4222-8333-944455566677", "runAs": "system"}
ALERT = "b7d7c1de-2222-4333-9444-a55566677788"


def ids(rows: list[dict[str, Any]]) -> list[int]:
    """Ids of the rows."""
    return [row["id"] for row in rows]


def activities(ninja: NinjaCaller, device: int = 31, **query: Any) -> list[dict[str, Any]]:
    """The device's activities, newest first."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    rows: list[dict[str, Any]] = ninja.get(f"/v2/device/{device}/activities?{asked}")["activities"]
    return rows


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens in the background."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("headers", "status", "error", "code"),
    [
        ({}, 400, "missing_header", 2),
        ({"Authorization": "Basic x"}, 400, "invalid_header", 1),
        ({"Authorization": "Bearer"}, 400, "invalid_header", 1),
        ({"Authorization": "Bearer wrong"}, 401, "not_authenticated", 10),
    ],
)
def test_the_authorization_layer_refuses_first(
    ninja: NinjaCaller, headers: dict[str, str], status: int, error: str, code: int
) -> None:
    """Missing and garbled headers are 400, unknown tokens 401, whatever the path."""
    for path in ("/v2/devices", "/api/v2/nothing"):
        answer = ninja.send("GET", path, headers=headers)
        assert (answer.status, answer.json()["error"], answer.json()["error_code"]) == (status, error, code)


def test_both_base_paths_work_and_every_answer_has_a_request_id(ninja: NinjaCaller) -> None:
    """`/v2` and `/api/v2` are one API; refusals have the id too."""
    assert ninja.get("/v2/devices") == ninja.get("/api/v2/devices")
    answers = [ninja.call("GET", "/v2/devices"), ninja.call("GET", "/v2/nothing"), ninja.send("GET", "/")]
    assert [answer.status for answer in answers] == [200, 404, 404]
    assert len({answer.headers["x-nj-request-id"] for answer in answers}) == 3


def test_a_missing_scope_is_a_401_and_a_missing_user_a_403(ninja: NinjaCaller) -> None:
    """Client credentials may reboot and may not run scripts; a reader may do neither."""
    service, reader = ninja.service(), ninja.service("reader")
    assert ninja.call("POST", "/v2/device/31/reboot/NORMAL", {}, bearer=reader).json()["error"] == (
        "insufficient_privileges"
    )
    answer = ninja.call("POST", "/v2/device/31/script/run", RUN, bearer=service)
    assert (answer.status, answer.json()["error"], answer.json()["error_code"]) == (403, "user_context_required", 5)
    assert ninja.call("POST", "/v2/device/31/reboot/NORMAL", {}, bearer=service).status == 204
    ninja.control.patch_state(settings={"reboot_needs_user": True, "user_context_status": 401})
    assert ninja.call("POST", "/v2/device/31/reboot/NORMAL", {}, bearer=service).status == 401
    assert ninja.control.effects().by_kind == {"reboot": 1}


def test_lists_are_bare_arrays_paged_by_the_last_id(ninja: NinjaCaller) -> None:
    """Nothing in an answer says whether there is more."""
    assert ids(ninja.get("/v2/devices?pageSize=2")) == [31, 40]
    assert ids(ninja.get("/v2/devices-detailed?pageSize=2&after=40")) == [41, 52]
    assert ninja.get("/v2/devices?after=53") == []
    ninja.control.patch_state(settings={"page_size": 1})
    assert ids(ninja.get("/v2/organizations?after=12")) == [14]
    assert ninja.call("GET", "/v2/devices?pageSize=x").status == 400


@pytest.mark.parametrize(
    ("df", "found"),
    [
        ("org = 12", [31, 40, 41]),
        ("org%20in%20(12,14)%20AND%20offline", [41]),
        ("class%20=%20MAC", [53]),
        ("class%20notin%20(MAC,LINUX_SERVER)%20AND%20online", [31, 40]),
        ("loc!=4", [52, 53]),
        ("id%20=%2031%20AND%20role%20=%201002", [31]),
        ("status%20=%20PENDING", [60]),
        ("status%20!=%20APPROVED", [60]),
    ],
)
def test_the_device_filter_knows_its_terms(ninja: NinjaCaller, df: str, found: list[int]) -> None:
    """Terms joined by AND; only approved devices unless the filter says otherwise."""
    assert ids(ninja.get(f"/v2/devices?df={df.replace(' ', '%20')}")) == found


@pytest.mark.parametrize("df", ["HD-FS01", "name%20=%20x", "org%20=%2012%20OR%20org%20=%2014", "org"])
def test_free_text_is_no_filter(ninja: NinjaCaller, df: str) -> None:
    """There is no term for names, and no OR."""
    assert ninja.call("GET", f"/v2/devices?df={df}").status == 400


def test_search_matches_names_addresses_and_users(ninja: NinjaCaller) -> None:
    """It answers an object, rows without the operating system."""
    found = ninja.get("/v2/devices/search?q=hd-&limit=2")
    assert (found["query"], ids(found["devices"])) == ("hd-", [31, 40])
    assert ids(ninja.get("/v2/devices/search?q=10.20.3.52")["devices"]) == [52]
    assert ids(ninja.get("/v2/devices/search?q=front")["devices"]) == [40]
    assert "os" not in found["devices"][0]


def test_only_detailed_rows_tell_the_operating_system(ninja: NinjaCaller) -> None:
    """Times are seconds as floating numbers."""
    assert "os" not in ninja.get("/v2/devices")[0]
    detailed, single = ninja.get("/v2/devices-detailed")[0], ninja.get("/v2/device/31")
    assert detailed == single
    assert (single["os"]["name"], single["lastContact"]) == ("Windows Server 2022 Standard", 1790000000.25)


def test_entities_and_routes_are_missing_in_different_words(ninja: NinjaCaller) -> None:
    """A specific code for an entity, a general one for a route, 405 for a known path."""
    assert ninja.call("GET", "/v2/device/99").json()["resultCode"] == "DEVICE_NOT_FOUND"
    assert ninja.call("POST", "/v2/device/31/control/reboot").json()["errorMessage"] == "HTTP 404 Not Found"
    assert ninja.call("GET", f"/v2/alert/{ALERT}").status == 405


def test_scripting_options_mix_scripts_and_actions(ninja: NinjaCaller) -> None:
    """One array with a type an item, only what fits the device; the roles to run as beside it."""
    found = ninja.get("/v2/device/31/scripting/options")
    assert [(one["type"], one.get("id"), one["name"]) for one in found["scripts"]] == [
        ("SCRIPT", 146, "Clear temp"),
        ("SCRIPT", 148, "Failing check"),
        ("ACTION", None, "Flush DNS"),
    ]
    assert "loggedonuser" in found["credentials"]["roles"]
    assert found["credentials"]["credentials"] == [{"id": 26, "name": "svc-admin", "type": "BASIC"}]
    assert [row["id"] for row in ninja.get("/v2/automation/scripts")] == [146, 147, 148, 149]


@pytest.mark.parametrize(
    ("order", "status", "said"),
    [
        ({"scriptId": 146}, 400, 'Unrecognized field "scriptId"'),
        ({"scriptVariables": []}, 400, "Unrecognized field"),
        ({"id": "146"}, 400, 'field "id"'),
        ({"parameters": ["a"]}, 400, 'field "parameters"'),
        ({"type": "OTHER"}, 400, "no script type"),
        ({"id": 147}, 404, "SCRIPT_NOT_FOUND"),
        ({"id": 149}, 404, "SCRIPT_NOT_FOUND"),
        ({"runAs": "SYSTEM"}, 400, "Unknown credential role"),
        ({"runAs": None}, 400, "Unknown credential role"),
        ({"runAs": "27"}, 400, "Unknown credential role"),
    ],
)
def test_script_runs_are_strict(ninja: NinjaCaller, order: dict[str, Any], status: int, said: str) -> None:
    """Unknown properties, wrong types, scripts for other systems and unknown roles are refused without effect."""
    answer = ninja.call("POST", "/v2/device/31/script/run", {**RUN, **order})
    assert (answer.status, said in answer.json().get("errorMessage", "") + answer.json()["resultCode"]) == (
        status,
        True,
    )
    assert ninja.control.effects().total == 0


def test_a_script_run_is_told_in_the_activities(ninja: NinjaCaller) -> None:
    """Requested, started, completed with a verdict, under one series; the answer itself is empty."""
    before = ninja.get("/v2/device/31/activities?pageSize=10")["lastNodeActivityId"]
    assert ninja.call("POST", "/v2/device/31/script/run", RUN).status == 204
    until(lambda: len(activities(ninja, newerThan=before, activityType="SCRIPTING")) == 3)
    rows = activities(ninja)
    assert [row["statusCode"] for row in rows] == ["COMPLETED", "STARTED", "START_REQUESTED"]
    assert (rows[0]["activityResult"], rows[0]["sourceName"]) == ("SUCCESS", "Clear temp")
    assert len({row["seriesUid"] for row in rows}) == 1
    assert ninja.control.effects().items[0]["detail"]["parameters"] == "-Days 7"


def test_an_action_is_an_activity_of_another_type(ninja: NinjaCaller) -> None:
    """Built-in actions run by uid, with a stored credential too."""
    assert ninja.call("POST", "/v2/device/31/script/run", {**ACTION, "runAs": "26"}).status == 204
    assert {row["activityType"] for row in activities(ninja)} == {"ACTION"}


def test_an_offline_device_never_ends_what_was_requested(ninja: NinjaCaller) -> None:
    """The order is accepted, nothing happens."""
    assert ninja.call("POST", "/v2/device/41/script/run", RUN).status == 204
    assert [row["statusCode"] for row in activities(ninja, 41)] == ["START_REQUESTED"]
    assert ninja.control.effects().total == 0


def test_activities_can_be_late_or_missing(ninja: NinjaCaller) -> None:
    """With a lag they appear later, switched off never; an end may never be told."""
    ninja.control.patch_state(settings={"activity_lag": 5.0})
    ninja.call("POST", "/v2/device/31/script/run", {**RUN, "id": 148})
    assert activities(ninja) == []
    until(lambda: bool(activities(ninja)) and activities(ninja)[0].get("activityResult") == "FAILURE")
    ninja.control.patch_state(settings={"activities": False})
    ninja.call("POST", "/v2/device/40/script/run", RUN)
    assert activities(ninja, 40) == []
    ninja.control.patch_state(
        settings={"activities": True, "activity_lag": 0.0}, scripts={"Clear temp": {"result": "", "seconds": 0.0}}
    )
    ninja.call("POST", "/v2/device/40/script/run", RUN)
    assert [row["statusCode"] for row in activities(ninja, 40)] == ["STARTED", "START_REQUESTED"]
    assert ninja.control.effects().count("run_script") == 3


def test_activities_are_paged_by_id(ninja: NinjaCaller) -> None:
    """Newest first; the account's list filters by `type`, the device's by `activityType`."""
    more = [
        {"device": 31, "series": "s", "type": "SYSTEM", "status_code": "X", "source_name": str(n)} for n in range(12)
    ]
    ninja.control.patch_state(add_activities=more)
    page = activities(ninja, pageSize=10)
    assert [row["sourceName"] for row in page[:2]] == ["11", "10"]
    rest = activities(ninja, pageSize=10, olderThan=page[-1]["id"])
    assert [row["sourceName"] for row in rest] == ["1", "0"]
    assert ninja.get("/v2/activities?type=SCRIPTING")["activities"] == []
    assert len(ninja.get("/v2/activities?activityType=SCRIPTING")["activities"]) == 12
    assert ninja.call("GET", "/v2/device/31/activities?pageSize=5").status == 400


@pytest.mark.parametrize(
    ("shape", "kind"), [("id", dict), ("activity_id", dict), ("job_uid", dict), ("uuid", str), ("integer", int)]
)
def test_the_answer_of_a_run_has_many_shapes(ninja: NinjaCaller, shape: str, kind: type) -> None:
    """Which one is a setting; a uid may or may not be the series of the activities."""
    ninja.control.patch_state(settings={"run_answer": shape, "uid_is_series": False})
    answer = ninja.call("POST", "/v2/device/31/script/run", RUN)
    assert (answer.status, isinstance(answer.json(), kind)) == (200, True)
    assert answer.text.strip('"') != activities(ninja)[0]["seriesUid"]


def test_reboots_have_a_mode_and_a_reason(ninja: NinjaCaller) -> None:
    """Two modes, a strict body; an offline device never hears of it."""
    assert ninja.call("POST", "/v2/device/31/reboot/FORCED", {"reason": "patches"}).status == 204
    assert ninja.control.effects().items[0]["detail"] == {"mode": "FORCED", "reason": "patches"}
    assert ninja.call("POST", "/v2/device/31/reboot/SOON").status == 404
    assert ninja.call("POST", "/v2/device/31/reboot/NORMAL", {"why": "x"}).status == 400
    assert ninja.call("POST", "/v2/device/41/reboot/NORMAL").status == 204
    assert ninja.control.effects().total == 1


def test_a_reset_alert_is_gone(ninja: NinjaCaller) -> None:
    """A second reset finds nothing; one whose condition lasts comes back under another uid."""
    assert len(ninja.get("/v2/alerts")) == 2
    assert ninja.call("POST", f"/v2/alert/{ALERT}/reset", {"ticket": "8841", "by": {"a": 1}}).status == 204
    assert ninja.call("DELETE", f"/v2/alert/{ALERT}").json()["resultCode"] == "ALERT_NOT_FOUND"
    (left,) = ninja.get("/v2/alerts")
    ninja.control.patch_state(alerts={left["uid"]: {"lasting": True}})
    assert ninja.call("DELETE", f"/v2/alert/{left['uid']}").status == 204
    (again,) = ninja.get("/v2/device/40/alerts")
    assert again["uid"] != left["uid"]
    assert ninja.control.effects().count("reset_alert") == 2


def test_services_maintenance_and_patches(ninja: NinjaCaller) -> None:
    """Orders beside scripts are accepted with 204 and counted, or refused in the vendor's words."""
    assert [row["name"] for row in ninja.get("/v2/device/31/windows-services")] == ["Spooler", "W32Time"]
    control = "/v2/device/31/windows-service/Spooler/control"
    assert ninja.call("POST", control, {"action": "RESTART"}).status == 204
    assert ninja.call("POST", control, {"action": "BURN"}).status == 400
    window = {"disabledFeatures": ["ALERTS"], "end": 1790007200000}
    assert ninja.call("PUT", "/v2/device/31/maintenance", window).status == 204
    assert ninja.get("/v2/device/31")["maintenance"]["status"] == "IN_MAINTENANCE"
    assert ninja.call("DELETE", "/v2/device/31/maintenance").status == 204
    assert ninja.call("PUT", "/v2/device/31/maintenance", {"disabledFeatures": ["FUN"], "end": 1}).status == 400
    assert ninja.call("POST", "/v2/device/31/patch/os/scan").status == 204
    answer = ninja.call("POST", "/v2/device/53/patch/os/apply")
    assert (answer.status, answer.json()["errorMessage"]) == (400, "Device is not applicable for os apply.")
    assert ninja.control.effects().total == 4


def test_throttling_comes_in_three_shapes(ninja: NinjaCaller) -> None:
    """429 with and without the seconds to wait, and a page with status 200; for some requests or for all."""
    ninja.control.patch_state(settings={"throttle": "retry_after", "throttle_times": 1, "retry_after": 7})
    answer = ninja.call("GET", "/v2/devices")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert ninja.call("GET", "/v2/devices").status == 200
    ninja.control.patch_state(settings={"throttle": "bare"})
    answers = [ninja.call("GET", "/v2/devices") for _ in range(2)]
    assert [(one.status, "retry-after" in one.headers) for one in answers] == [(429, False)] * 2
    ninja.control.patch_state(settings={"throttle": "html"})
    answer = ninja.call("GET", "/v2/devices")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "wish",
    [
        {"settings": {"rotation": "sometimes"}},
        {"devices": {"99": {"offline": True}}},
        {"nothing": {}},
        {"remove_alerts": ["nothing"]},
        {"add_devices": [{"id": 1}]},
    ],
)
def test_an_impossible_wish_changes_nothing(ninja: NinjaCaller, wish: dict[str, Any]) -> None:
    """The control plane refuses it and the world stays."""
    before = ninja.control.state()
    with pytest.raises(SandboxRefused):
        ninja.control.patch_state(**{"settings": {"page_size": 7}, **wish})
    assert ninja.control.state() == before


def test_devices_can_be_added_changed_and_removed(ninja: NinjaCaller) -> None:
    """By id or by name."""
    ninja.control.patch_state(
        add_devices=[{"id": 70, "system_name": "NEW", "organization": 12}], devices={"HD-FS01": {"offline": True}}
    )
    assert (ninja.get("/v2/device/70")["systemName"], ninja.get("/v2/device/31")["offline"]) == ("NEW", True)
    ninja.control.patch_state(remove_devices=[70])
    assert ninja.call("GET", "/v2/device/70").status == 404
