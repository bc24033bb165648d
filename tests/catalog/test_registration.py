"""Registering a module: what is made of contract, client class and handlers, and what does not fit together."""

from dataclasses import replace

import pytest

from server.contract.problems import ContractError
from server.core.registry import Registry
from server.modules import levelio, tacticalrmm
from server.modules.levelio.client import LevelClient
from server.modules.tacticalrmm.runs import probe_run_script
from server.sdk import Integration
from tests.catalog.support import registry_of

pytestmark = pytest.mark.anyio


class Unconnected:
    """A tenant without any connection."""

    tenant = "t"

    async def integration(self, provider: str) -> Integration | None:
        """Returns None for Level; nothing else is asked for."""
        assert provider == "levelio"
        return None


async def test_a_module_is_made_of_contract_client_and_handlers() -> None:
    """The client's class says how to connect, check and spell the address; the rule of connections holds."""
    module = levelio.MODULE
    assert (module.connect, module.check, module.instance_url) == (
        LevelClient,
        LevelClient.check,
        LevelClient.instance_url,
    )
    assert module.availability is not None
    verdict = await module.availability(Unconnected())
    assert (verdict.reason, verdict.message) == ("NOT_CONNECTED", "Level is not connected for this tenant.")


def test_a_probe_belongs_to_the_handler_of_its_name() -> None:
    """And to no other one."""
    probes = {action.definition.id: action.probe for action in registry_of(tacticalrmm.MODULE).actions if action.probe}
    assert probes == {"tacticalrmm.agents.run_script": probe_run_script}


def test_a_probe_without_a_handler_is_refused() -> None:
    """Its name is told, so that a typo is found."""
    with pytest.raises(ContractError, match="probe of `run_scripts` has no handler"):
        Registry().add(replace(tacticalrmm.MODULE, probes={"run_scripts": probe_run_script}))


def test_handlers_that_do_not_fit_the_contract_are_refused() -> None:
    """What is missing and what is surplus is told together."""
    (first, *others) = levelio.MODULE.handlers
    with pytest.raises(ContractError, match=f"no handler `{first.__name__}`.*handler `probe_run_script` has no rpc"):
        Registry().add(replace(levelio.MODULE, handlers=[*others, probe_run_script]))
