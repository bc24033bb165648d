"""Refusals as a table: which meaning an answer has."""

import json
from typing import Any

import pytest

from server.sdk import FailureCategory
from server.sdk.http import HttpResponse
from server.sdk.meanings import Meaning, meanings

READ = meanings(
    Meaning("CODED", "By code.", code="user_.*", remedy="Sign in."),
    Meaning("WROTE", "After writes.", status=403, wrote=True, category=FailureCategory.FAILURE_CATEGORY_PERMISSION),
    Meaning("SAID", "By words.", status=403, said="not installed", field="person"),
    Meaning("NO_CODE", "Nothing known.", status=404, code="|FAILURE"),
    Meaning("RATE_LIMITED", "Too many.", status=429, retry_after=10),
    code=("error.code", "resultCode"),
)


def answer(status: int, body: Any = None, *, wrote: bool = False, **headers: str) -> HttpResponse:
    """Returns an answer of a vendor; a text is sent as it is."""
    content = body if isinstance(body, str) else json.dumps(body)
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, content.encode(), wrote
    )


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (answer(500, {"error": {"code": "user_gone"}}), "CODED"),
        (answer(403, {"resultCode": "user_gone"}, wrote=True), "CODED"),
        (answer(403, {"error": "not user_gone"}, wrote=True), "WROTE"),
        (answer(403, "<p>it is not installed</p>"), "SAID"),
        (answer(403, "no"), None),
        (answer(404, "<html>"), "NO_CODE"),
        (answer(404, [1]), "NO_CODE"),
        (answer(404, {"resultCode": "FAILURE"}), "NO_CODE"),
        (answer(404, {"resultCode": "DEVICE_NOT_FOUND"}), None),
        (answer(400, {"resultCode": "not_user_gone"}), None),
    ],
)
def test_the_first_meaning_that_fits_counts(told: HttpResponse, reason: str | None) -> None:
    """By status, whole code, words and whether it was a write; what fits none is left to the framework."""
    failure = READ(told)
    assert (failure.failure.reason if failure else None) == reason


def test_a_meaning_says_what_its_failure_says() -> None:
    """Remedy, category and field; where they are silent the reason's own facts count."""
    coded, wrote, said = (
        READ(answer(500, {"resultCode": "user_"})),
        READ(answer(403, wrote=True)),
        READ(answer(403, "not installed")),
    )
    assert coded is not None
    assert wrote is not None
    assert said is not None
    assert (coded.failure.message, coded.failure.remedy.text) == ("By code.", "Sign in.")
    assert wrote.failure.category == FailureCategory.FAILURE_CATEGORY_PERMISSION
    assert said.failure.field == "person"


@pytest.mark.parametrize(("headers", "seconds"), [({}, 10), ({"retry_after": "50"}, 50)])
def test_the_vendors_own_advice_comes_first(headers: dict[str, str], seconds: int) -> None:
    """The table's is for vendors that give none."""
    failure = READ(answer(429, **headers))
    assert failure is not None
    assert failure.failure.retry_after.seconds == seconds
