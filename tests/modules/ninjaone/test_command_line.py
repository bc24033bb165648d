"""`patchbay connections connect ninjaone`: a person signs in in the browser, or brings a refresh token along."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.v1 import identity_pb2
from tests.modules.ninjaone.world import CLEANUP, REFRESH_TOKEN, SERVER, WEB_SECRET
from tests.support.postgres import Fresh
from tests.support.served import TENANT, Caller, ThreadedServer, settings_for

BROWSER = "import sys,urllib.request;urllib.request.urlopen(sys.argv[1]).read()"
APP = {"client_id": "web", "client_secret": WEB_SECRET}


@pytest.fixture
def target(fresh: Fresh, tmp_path: Path) -> Iterator[str]:
    """Address of a server with an unconnected tenant."""

    async def prepare(target: str) -> None:
        caller = Caller(target)
        await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
        await caller.close()

    with ThreadedServer(settings_for(fresh, tmp_path), prepare) as running:
        assert running.handle is not None
        yield running.handle.target


def patchbay(target: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a process of its own."""
    environment = {
        **os.environ,
        "PATCHBAY_SERVER": target,
        "PATCHBAY_TENANT": TENANT,
        "BROWSER": f'{sys.executable} -c "{BROWSER}" %s',
    }
    command = [sys.executable, "-m", "server.cli", *arguments]
    return subprocess.run(
        command, input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("settings", "options"), [(APP, ["--sign-in"]), ({**APP, "refresh_token": REFRESH_TOKEN}, [])])
def test_a_user_is_connected_and_runs_a_script(
    target: str, server: SandboxServer, vendor: SandboxControl, settings: dict[str, str], options: list[str]
) -> None:
    """By the browser, and with a refresh token; both have the user context that scripts need."""
    grant = ["--plain-http", "--private-network", "127.0.0.0/8"]
    given = json.dumps({"instance_url": server.url, **settings})
    done = patchbay(
        target, "connections", "connect", "ninjaone", "--settings", "-", *options, *grant, "--json", stdin=given
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["active"] is True
    assert WEB_SECRET not in done.stdout + done.stderr
    order = json.dumps({"device_id": SERVER, "script_id": CLEANUP})
    ran = patchbay(target, "execute", "ninjaone.devices.run_script", "--input", order, "--key", "a", "--json")
    assert ran.returncode == 0, ran.stderr
    assert vendor.effects().count("run_script") == 1
