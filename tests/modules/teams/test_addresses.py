"""Where tokens may go: exact hosts of the connection's cloud, and nowhere else."""

import pytest

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.modules.teams.connection import cloud_of, instance_url, trusted
from server.sdk import ActionFailure

SIMULATED = "http://127.0.0.1:8088/connector/emea"


@pytest.mark.parametrize(
    ("cloud", "url"),
    [
        ("", "https://smba.trafficmanager.net/emea/"),
        ("public", "https://smba.trafficmanager.net:443/apac"),
        ("public", "https://SMBA.trafficmanager.net/teams/"),
        ("gcc", "https://smba.infra.gcc.teams.microsoft.com/teams"),
        ("gcc_high", "https://smba.infra.gov.teams.microsoft.us/gov/"),
        ("dod", "https://smba.infra.dod.teams.microsoft.us/teams"),
    ],
)
def test_the_host_of_the_cloud_is_trusted(cloud: str, url: str) -> None:
    """Whatever region the path names; the slash at the end goes."""
    assert trusted(TeamsConnection(cloud=cloud), url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://smba.trafficmanager.net/emea/",
        "https://evil.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net.evil.test/",
        "https://evil-smba.trafficmanager.net/",
        "https://smba.trafficmanager.net:8443/emea/",
        "https://smba.trafficmanager.net@evil.test/",
        "https://user@smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net/emea?x=1",
        "https://smba.trafficmanager.net/emea#x",
        "https://smba.trafficmanager.net\\@evil.test/",
        "https://smba.trafficmanager.net/e mea/",
        "https://smba.trafficmanager.net./emea/",
        "https://smba.infra.gov.teams.microsoft.us/teams",
        "https://[::1",
        "smba.trafficmanager.net/emea",
        SIMULATED,
        "",
    ],
)
def test_every_other_address_is_refused(url: str) -> None:
    """Other schemes, hosts, ports, suffixes, clouds, user names, queries: UNTRUSTED_SERVICE_URL."""
    with pytest.raises(ActionFailure, match="UNTRUSTED_SERVICE_URL"):
        trusted(TeamsConnection(cloud="public"), url)


def test_no_address_of_china_is_known() -> None:
    """None is published, so none is trusted."""
    with pytest.raises(ActionFailure, match="UNTRUSTED_SERVICE_URL"):
        trusted(TeamsConnection(cloud="china"), "https://smba.trafficmanager.net/teams/")


def test_a_simulator_stands_for_the_cloud_alone() -> None:
    """With its address in the settings, that origin is trusted and Microsoft's is not."""
    settings = TeamsConnection(service_url="http://127.0.0.1:8088/connector/teams")
    assert trusted(settings, SIMULATED) == SIMULATED
    for url in ("https://smba.trafficmanager.net/emea/", "http://127.0.0.1:8089/connector/emea"):
        with pytest.raises(ActionFailure, match="UNTRUSTED_SERVICE_URL"):
            trusted(settings, url)


@pytest.mark.parametrize("field", ["login_url", "graph_url", "service_url"])
@pytest.mark.parametrize(
    "url", ["https://evil.test", "http://10.0.0.1/", "localhost.evil.test", "http://127.0.0.1@evil.test"]
)
def test_nobody_else_can_stand_for_microsoft(field: str, url: str) -> None:
    """An address that is not this machine's is refused by the name of its field, granted or not."""
    with pytest.raises(ActionFailure) as caught:
        cloud_of(TeamsConnection(**{field: url}))
    assert (caught.value.failure.reason, caught.value.failure.field) == (
        "INTEGRATION_MISCONFIGURED",
        f"settings.{field}",
    )


def test_each_cloud_has_its_own_endpoints() -> None:
    """Graph of the five clouds."""
    clouds = ("", "gcc", "gcc_high", "dod", "china")
    assert [instance_url(TeamsConnection(cloud=one)) for one in clouds] == [
        "https://graph.microsoft.com",
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    ]
