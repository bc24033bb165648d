"""A running receiver of webhooks."""

from collections.abc import Iterator

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.webhook import create_app


@pytest.fixture
def receiver_url() -> Iterator[str]:
    """The address of a receiver with the hooks `demo` and `other`."""
    with SandboxServer(create_app({"hooks": ["demo", "other"]})) as server:
        yield server.url
        SandboxControl(server.url).clear_faults()
