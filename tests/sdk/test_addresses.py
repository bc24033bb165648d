"""Addresses as people enter them; what is refused is proved with Tactical RMM's, which go the same way."""

import pytest

from server.sdk import ActionFailure
from server.sdk.addresses import instance_address


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "https://vendor.example.com"),
        ("  ", "https://vendor.example.com"),
        ("proxy.example.com/huntress/", "https://proxy.example.com/huntress"),
        ("HTTP://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_an_address_has_one_spelling_and_may_have_a_default(given: str, expected: str) -> None:
    """Scheme, case and slashes are evened out; nothing given is the default."""
    assert instance_address(given, "https://vendor.example.com") == expected


def test_without_a_default_an_address_is_needed() -> None:
    """Nothing given names the field."""
    with pytest.raises(ActionFailure) as caught:
        instance_address(" ")
    assert (caught.value.failure.reason, caught.value.failure.field) == (
        "INTEGRATION_MISCONFIGURED",
        "settings.instance_url",
    )
