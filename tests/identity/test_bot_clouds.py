"""Which addresses are trusted to be Teams'."""

import pytest

from server.core.bot_clouds import is_trusted
from server.settings import SettingInvalid, Settings

HOSTS = {
    "public": "smba.trafficmanager.net",
    "gcc": "smba.infra.gcc.teams.microsoft.com",
    "gcc_high": "smba.infra.gov.teams.microsoft.us",
    "dod": "smba.infra.dod.teams.microsoft.us",
}


@pytest.mark.parametrize("cloud", HOSTS)
def test_each_cloud_has_one_host(cloud: str) -> None:
    """Its own is trusted with any path; those of the other clouds are not."""
    trusted = [name for name, host in HOSTS.items() if is_trusted(f"https://{host}/any/path/", cloud)]
    assert trusted == [cloud]


@pytest.mark.parametrize(
    "url",
    [
        "http://smba.trafficmanager.net/emea/",
        "https://evil.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://user@smba.trafficmanager.net/",
        "https://smba.trafficmanager.net:8443/",
        "https://smba.trafficmanager.net:x/",
        "https://smba.trafficmanager.net/?a",
        "https://smba.trafficmanager.net/#a",
        "https://evil.example\\@smba.trafficmanager.net/",
        "https://smba.trafficmanager.net\n/",
        "//smba.trafficmanager.net/",
        "",
    ],
)
def test_nothing_but_https_host_and_path_is_trusted(url: str) -> None:
    """Neither another scheme, port, suffix nor user, nor anything behind the path."""
    assert not is_trusted(url, "public")


def test_where_no_host_is_published_nothing_is_trusted() -> None:
    """China's cloud and names that are no cloud trust no address."""
    assert not is_trusted("https://smba.trafficmanager.net/", "china")
    assert not is_trusted("https://smba.trafficmanager.net/", "moon")


def test_a_simulator_stands_on_this_machine_only() -> None:
    """Its origin alone is trusted then, and one elsewhere never."""
    here, there = "http://127.0.0.1:9000/connector/teams", "https://sim.example.com/connector"
    assert is_trusted("http://127.0.0.1:9000/connector/emea/", "public", here)
    assert not is_trusted("http://127.0.0.1:9001/connector/emea/", "public", here)
    assert not is_trusted("https://smba.trafficmanager.net/emea/", "public", here)
    assert not is_trusted(f"{there}/emea/", "public", there)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bot_listen": "7701"}, "bot_listen"),
        ({"bot_listen": "127.0.0.1:bot"}, "bot_listen"),
        ({"bot_identity_url": "https://identity.example.com"}, "bot_identity_url"),
        ({"workers": 2, "bot_listen": "127.0.0.1:0"}, "bot_listen"),
    ],
)
def test_settings_of_the_endpoint_are_checked(wrong: dict, named: str) -> None:
    """An address without a port, an identity elsewhere, and a free port for several processes are refused by name."""
    with pytest.raises(SettingInvalid, match=named):
        Settings(**wrong)
