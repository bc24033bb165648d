"""The checker of recorded requests refuses what a vendor's document does not allow, and nothing else."""

from typing import Any

import pytest

from tests.modules.openapi import RECORDED_BYTES, Document, described

HUNTRESS = described("huntress/openapi.yaml")
LEVEL = described("level/openapi.yaml")
NINJAONE = described("ninjaone/ninjaone-public-api-2.0.9-draft.2026-07.yaml", prefix="/api")
BASIC, BARE, BEARER = "Basic sha256:00", "sha256:00", "Bearer sha256:00"


def sent(method: str, target: str, key: str = "", body: str = "") -> dict[str, Any]:
    """A request as the sandbox records it."""
    path, _, query = target.partition("?")
    headers = ({"authorization": key} if key else {}) | ({"content-type": "application/json"} if body else {})
    return {"method": method, "path": path, "query": query, "headers": headers, "body": body}


@pytest.mark.parametrize(
    ("document", "request_"),
    [
        (HUNTRESS, sent("GET", "/v1/incident_reports?limit=500&status=sent&agent_id=7", BASIC)),
        (HUNTRESS, sent("GET", "/v1/incident_reports/1/remediations?statuses%5B%5D=unapproved", BASIC)),
        (HUNTRESS, sent("POST", "/v1/incident_reports/1/resolution", BASIC)),
        (HUNTRESS, sent("POST", "/v1/agents/1/isolation", BASIC, "{}")),
        (LEVEL, sent("GET", "/v2/devices?limit=100", BARE)),
        (LEVEL, sent("POST", "/v2/automations/webhooks/abc", "", '{"device_ids": ["a"], "ours": 1}')),
        (NINJAONE, sent("GET", "/api/v2/devices?pageSize=50&df=x", BEARER)),
    ],
)
def test_what_a_document_allows_passes(document: Document, request_: dict[str, Any]) -> None:
    """Requests that keep to the document are not refused."""
    document.required()
    document.check([request_])


@pytest.mark.parametrize(
    ("document", "request_", "told"),
    [
        (HUNTRESS, sent("GET", "/v1/nothing", BASIC), "Path not found"),
        (HUNTRESS, sent("PUT", "/v1/account", BASIC), "Operation put not found"),
        (HUNTRESS, sent("GET", "/v1/incident_reports/x", BASIC), "cast value to integer"),
        (HUNTRESS, sent("GET", "/v1/incident_reports?page=2", BASIC), "unknown query parameter page"),
        (HUNTRESS, sent("GET", "/v1/incident_reports?limit=ten", BASIC), "limit"),
        (HUNTRESS, sent("GET", "/v1/incident_reports?limit=501", BASIC), "greater than the maximum of 500"),
        (HUNTRESS, sent("GET", "/v1/incident_reports?severity=medium", BASIC), "'medium' is not one of"),
        (HUNTRESS, sent("GET", "/v1/account"), "Security"),
        (HUNTRESS, sent("GET", "/v1/account", BEARER), "Security"),
        (HUNTRESS, sent("POST", "/v1/incident_reports/1/resolution", BASIC, "{}"), "the operation has none"),
        (HUNTRESS, sent("POST", "/v1/agents/1/isolation", BASIC), "Missing required request body"),
        (HUNTRESS, sent("POST", "/v1/agents/1/isolation", BASIC, '{"reason'), "Failed to deserialize"),
        (HUNTRESS, sent("POST", "/v1/agents/1/isolation", BASIC, '{"reason": 3}'), "is not of type 'string'"),
        (HUNTRESS, sent("POST", "/v1/agents/1/isolation", BASIC, " " * RECORDED_BYTES), "recorded cut"),
        (LEVEL, sent("GET", "/v2/devices?limit=100", BEARER), "must be the bare key"),
        (LEVEL, sent("GET", "/v2/devices"), "Security"),
        (NINJAONE, sent("GET", "/v2/devices", BEARER), "not found"),
        (NINJAONE, sent("POST", "/api/v2/device/1/script/run", BEARER, '{"type": "X"}'), "'X' is not one of"),
    ],
)
def test_what_a_document_forbids_is_told(document: Document, request_: dict[str, Any], told: str) -> None:
    """Each planted violation is found, named by request and cause, and fails the check."""
    document.required()
    (violation,) = document.violations([request_])
    assert violation.startswith(f"{request_['method']} {request_['path']}")
    assert told in violation
    with pytest.raises(AssertionError):
        document.check([request_])
