"""What every module must prove; the suite comes with Patchbay."""

from pathlib import Path
from typing import Any

import vendor
from server.conformance.bench import Bench
from server.conformance.suite import Conformance

from patchbay_statusboard import register


def settings(url: str, credentials: dict[str, Any]) -> dict[str, Any]:
    """The settings of a connection to the vendor."""
    return {"instance_url": url, "token": credentials["token"]}


class TestStatusboard(Conformance):
    """Statusboard conforms."""

    bench = Bench(provider="statusboard", vendor=vendor.create_app, settings=settings, register=register)
    golden = Path(__file__).with_name("catalog.json")
