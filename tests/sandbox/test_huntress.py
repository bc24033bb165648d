"""The simulated Huntress: keys, budget, paging, incident reports, forms of errors, as the facts tell them."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.client import SandboxControl, SandboxRefused
from sandbox.huntress import create_app
from sandbox.serving import SandboxServer
from tests.support.web import fetch

READY, OPEN, CLOSED = 740118, 740119, 740090


class Caller:
    """Blocking requests with one of the two keys."""

    def __init__(self, server: SandboxServer) -> None:
        self._url = server.url
        self.control = SandboxControl(server.url)

    def __call__(
        self, method: str, path: str, body: Any = None, key: str = "workflow", secret: str = ""
    ) -> tuple[int, Any]:
        """Status and parsed answer; text where it is no JSON."""
        pair = self.control.credentials()["keys"][key]
        login = f"{pair['api_key']}:{secret or pair['api_secret']}"
        headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
        answer = fetch(self._url, method, f"/v1/{path}", body, headers)
        self.retry_after = answer.headers.get("retry-after")
        try:
            return answer.status, answer.json()
        except ValueError:
            return answer.status, answer.text

    def all_of(self, path: str, name: str) -> list[int]:
        """Ids of every page."""
        ids, token = [], ""
        while True:
            _, page = self("GET", path + (f"&page_token={token}" if token else ""))
            ids += [row["id"] for row in page[name]]
            token = page["pagination"].get("next_page_token")
            if not token:
                return ids


@pytest.fixture
def call() -> Iterator[Caller]:
    """The demo world."""
    with SandboxServer(create_app()) as running:
        yield Caller(running)


def test_a_wrong_secret_is_a_401_that_costs_nothing(call: Caller) -> None:
    """Wrong Basic credentials are refused before anything is counted."""
    call.control.patch_state(settings={"rate_limit": 1})
    assert call("GET", "account", secret="wrong") == (401, {"error": "Invalid credentials"})
    assert call("GET", "account")[0] == 200


def test_the_account_key_reads_and_never_writes(call: Caller) -> None:
    """Every write with it is a 403 without effect; the user key may write."""
    assert call("GET", f"incident_reports/{READY}", key="readonly")[0] == 200
    assert call("POST", f"incident_reports/{READY}/resolution", key="readonly")[0] == 403
    assert call.control.effects().total == 0
    assert call("POST", f"incident_reports/{READY}/resolution")[0] == 201
    assert call.control.effects(kind="resolve", target=str(READY)).count("resolve") == 1


def test_the_actor_has_a_user_only_for_a_user_key(call: Caller) -> None:
    """The difference by which a key's power can be told."""
    assert "user" in call("GET", "actor")[1]
    assert "user" not in call("GET", "actor", key="readonly")[1]
    call.control.patch_state(settings={"wrap_actor": True})
    assert set(call("GET", "actor")[1]) == {"actor"}


def test_the_window_slides_and_is_shared_by_the_keys_of_an_account(call: Caller) -> None:
    """60 requests in any 60 seconds by a clock that the test sets; a refused one takes no place."""
    for second in range(60):
        call.control.patch_state(settings={"clock": 1000.0 + second})
        assert call("GET", "account", key=("workflow", "readonly")[second % 2])[0] == 200
    assert call("GET", "account") == (429, {"error": "Rate limit exceeded"})
    assert call.retry_after is None
    call.control.patch_state(settings={"clock": 1060.0, "retry_after": 7})
    assert call("GET", "account")[0] == 200
    assert call("GET", "account")[0] == 429
    assert call.retry_after == "7"


def test_pages_are_walked_by_tokens_bound_to_their_filters(call: Caller) -> None:
    """Every report once, newest id first; a token of other filters or none of ours is a 400."""
    assert call.all_of("incident_reports?limit=2", "incident_reports") == [740120, READY + 1, READY, CLOSED, 740080]
    assert call.all_of("organizations?limit=1&sort_field=name&sort_direction=asc", "organizations") == [48214, 48213]
    token = call("GET", "incident_reports?limit=2")[1]["pagination"]["next_page_token"]
    assert call("GET", f"incident_reports?status=sent&page_token={token}")[0] == 400
    assert call("GET", "incident_reports?page_token=foreign")[0] == 400
    call.control.patch_state(settings={"last_page": "nulls"})
    assert call("GET", "organizations")[1]["pagination"] == {"next_page_token": None, "next_page_url": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=ten",
        "status=open",
        "severity=medium",
        "platform=beos",
        "sort_field=name",
        "sort_direction=up",
        "organization_id=x",
        "indicator_type=rumour",
    ],
)
def test_values_outside_of_a_list_are_a_400(call: Caller, query: str) -> None:
    """Unknown words and limits outside of 1 to 500 are refused."""
    assert call("GET", f"incident_reports?{query}")[0] == 400


def test_filters_narrow_reports(call: Caller) -> None:
    """Status, severity, platform, organization, agent and indicator together."""
    query = "status=sent&severity=high&platform=windows&organization_id=48213&agent_id=912042&indicator_type=footholds"
    assert call.all_of(f"incident_reports?{query}", "incident_reports") == [READY]


def test_a_report_is_closed_once_its_remediations_are_approved(call: Caller) -> None:
    """409 while one is open, approval by the user of the key, 201 with the closed report, then 422 or 409 by switch."""
    call.control.patch_state(settings={"clock": 1_800_000_000.0})
    assert call("POST", f"incident_reports/{OPEN}/resolution")[0] == 409
    status, answer = call("POST", f"incident_reports/{OPEN}/remediations/bulk_approval")
    items = answer["incident_report"]["remediations"]["items"]
    assert (status, {item["status"] for item in items}) == (201, {"approved", "completed"})
    call.control.patch_state(settings={"clock": 1_800_000_060.0})
    _, page = call("GET", f"incident_reports/{OPEN}/remediations?statuses%5B%5D=completed")
    assert len(page["remediations"]) == 3
    status, answer = call("POST", f"incident_reports/{OPEN}/resolution")
    report = answer["incident_report"]
    assert (status, report["status"], report["closed_at"]) == (201, "closed", report["status_updated_at"])
    assert call("POST", f"incident_reports/{OPEN}/resolution")[0] == 422
    call.control.patch_state(settings={"wrong_status": 409})
    assert call("POST", f"incident_reports/{OPEN}/resolution")[0] == 409
    assert call.control.effects().by_kind == {"approve": 1, "resolve": 1}


def test_a_rejection_needs_a_comment_and_takes_the_report_off_sent(call: Caller) -> None:
    """To the status that the test names; no bulk call works afterwards."""
    call.control.patch_state(settings={"rejected": "dismissed"})
    path = f"incident_reports/{OPEN}/remediations/bulk_rejection"
    assert call("POST", path)[0] == 400
    assert call("POST", path, {"comment": "ours", "useful": False})[0] == 201
    assert call("GET", f"incident_reports/{OPEN}")[1]["incident_report"]["status"] == "dismissed"
    assert call("POST", path, {"comment": "ours", "useful": False})[0] == 409


def test_ten_remediations_are_shown_and_all_are_counted(call: Caller) -> None:
    """A report tells the number of all and that there are more."""
    call.control.patch_state(incident_reports={str(OPEN): {"remediations": [{"id": n} for n in range(1, 13)]}})
    shown = call("GET", f"incident_reports/{OPEN}")[1]["incident_report"]["remediations"]
    assert (shown["total_count"], shown["has_more"], len(shown["items"])) == (12, True, 10)


def test_what_is_another_accounts_is_missing(call: Caller) -> None:
    """The 404 of a foreign report does not differ from that of an unknown one; lists leave it out."""
    other = {"id": 9, "name": "Other", "subdomain": "other"}
    call.control.patch_state(add_accounts=[other], add_incident_reports=[{"id": 1, "account_id": 9}])
    assert call("GET", "incident_reports/1") == call("GET", "incident_reports/2") == (404, {"error": "Not found"})
    assert 1 not in call.all_of("incident_reports?limit=500", "incident_reports")


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("error", {"error": "Not found"}),
        ("message", {"code": 404, "message": "Not found"}),
        ("errors", {"errors": ["Not found"]}),
        ("fields", {"errors": {"base": ["Not found"]}}),
        ("text", "Not found"),
        ("empty", ""),
    ],
)
def test_errors_have_the_shape_that_is_switched_on(call: Caller, shape: str, body: Any) -> None:
    """All shapes that clients report."""
    call.control.patch_state(settings={"errors": shape})
    assert call("GET", "agents/1") == (404, body)


def test_the_account_is_wrapped_or_bare(call: Caller) -> None:
    """Both forms that clients read."""
    assert set(call("GET", "account")[1]) == {"account"}
    call.control.patch_state(settings={"wrap_account": False})
    assert call("GET", "account")[1]["subdomain"] == "tidewater"


def test_unknown_paths_and_methods_are_refused(call: Caller) -> None:
    """404 and 405; the plural of `resolution` does not exist."""
    assert call("POST", f"incident_reports/{READY}/resolutions")[0] == 404
    assert call("PUT", f"incident_reports/{READY}")[0] == 405


def test_a_wish_that_cannot_be_fulfilled_changes_nothing(call: Caller) -> None:
    """The valid part of the wish is undone; keys are not part of the state."""
    before = call.control.state()
    for wish in ({"nothing": 1}, {"agents": {"1": {}}}, {"incident_reports": {str(OPEN): {"severity": "medium"}}}):
        with pytest.raises(SandboxRefused, match="nothing changed"):
            call.control.patch_state(settings={"rate_limit": 1}, **wish)
    assert call.control.state() == before
    secrets = [value for pair in call.control.credentials()["keys"].values() for value in pair.values()]
    assert not any(secret in json.dumps(before) for secret in secrets)


def test_reset_returns_to_the_seed_and_keeps_the_keys(call: Caller) -> None:
    """World, window, tokens and effects start anew."""
    before = call.control.state()
    call("POST", f"incident_reports/{READY}/resolution")
    call.control.reset()
    assert call.control.state() == before
    assert call("GET", "account")[0] == 200
