"""What the tests of operation share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.store.embedded import EmbeddedPostgres
from tests.modules.tacticalrmm.world import SEED
from tests.operations.tactical import Tactical
from tests.support.postgres import Fresh, folder_for_postgres
from tests.support.served import Replicas


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach; pytest's own is closed to it."""
    with folder_for_postgres() as made:
        yield made


@pytest.fixture(scope="session")
def tactical_server() -> Iterator[Tactical]:
    """A simulated Tactical RMM server for the whole run."""
    with SandboxServer(create_app(SEED)) as server:
        yield Tactical(server.url, SandboxControl(server.url))


@pytest.fixture
def tactical(tactical_server: Tactical) -> Tactical:
    """The simulated server, as new."""
    tactical_server.control.clear_faults()
    tactical_server.control.reset()
    return tactical_server


@pytest.fixture
def own_replicas(own_postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Replicas]:
    """Makes server processes on a PostgreSQL of this test alone."""
    made = Replicas(Fresh(own_postgres.dsn, own_postgres.app_dsn), tmp_path)
    yield made
    made.end()
