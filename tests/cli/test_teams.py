"""`patchbay teams manifest`: the package it writes, and what it says about bad input."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ended

BOT = "0b7c2c2e-1111-4c55-8f52-2f1f6c0a9d10"
OTHER = "c0ffee00-1111-4222-8333-444455556666"
GOOD = {"--base-url": "https://patchbay.example.com/", "--bot-id": BOT.upper()}

Run = Callable[..., Ended]


@pytest.fixture
def manifest(patchbay: Run, tmp_path: Path) -> Run:
    """Runs the command with good options, some of them changed."""

    def called(*flags: str, **changes: str) -> Ended:
        options = {**GOOD, "--out": str(tmp_path / "app.zip")}
        options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return patchbay("teams", "manifest", *flags, *(part for option in options.items() for part in option))

    return called


def test_the_package_is_written_and_the_endpoint_told(manifest: Run, tmp_path: Path) -> None:
    """The file holds the manifest that --json shows; ids are lower case, and the bot's where none is given."""
    ended = manifest("--json")
    assert ended.code == 0, ended.err
    assert ended.json["messaging_endpoint"] == "https://patchbay.example.com/api/messages"
    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        written = json.loads(archive.read("manifest.json"))
    assert written == ended.json["manifest"]
    assert {written["id"], written["bots"][0]["botId"], written["webApplicationInfo"]["id"]} == {BOT}


def test_what_is_given_stands_in_the_manifest(manifest: Run) -> None:
    """Every option has its place."""
    told = manifest(
        "--json",
        app_id=OTHER,
        graph_app_id=OTHER,
        version="2.0.1-rc.1",
        name="Harbor Flow",
        developer="Harbor MSP",
        privacy_url="https://www.example.com/privacy",
        terms_url="https://www.example.com/terms",
    ).json["manifest"]
    assert (told["id"], told["webApplicationInfo"]["id"], told["version"]) == (OTHER, OTHER, "2.0.1-rc.1")
    assert (told["name"]["short"], told["developer"]["name"]) == ("Harbor Flow", "Harbor MSP")
    assert told["developer"]["privacyUrl"].endswith("/privacy")
    assert told["developer"]["termsOfUseUrl"].endswith("/terms")


def test_people_are_told_what_to_do_next(manifest: Run, tmp_path: Path) -> None:
    """Where the file is and where it goes; the address that the Azure Bot needs."""
    ended = manifest()
    assert str(tmp_path / "app.zip") in ended.out
    assert "https://patchbay.example.com/api/messages" in ended.out


BAD = [
    ("base_url", "http://patchbay.example.com"),
    ("base_url", "patchbay.example.com"),
    ("base_url", "https://"),
    ("base_url", "https://localhost"),
    ("base_url", "https://192.0.2.7"),
    ("base_url", "https://[2001:db8::1]"),
    ("base_url", "https://-patchbay.example.com"),
    ("base_url", "https://patch_bay.example.com"),
    ("base_url", "https://patchbay.example.com:70000"),
    ("base_url", "https://user@patchbay.example.com"),
    ("base_url", "https://patchbay.example.com?tenant=1"),
    ("base_url", "https://patchbay.example.com/#x"),
    ("base_url", "https://patchbay.example.com/a b"),
    ("base_url", "https://patchbay.example.com/" + "x" * 2048),
    ("bot_id", "patchbay"),
    ("bot_id", BOT[:-1]),
    ("bot_id", f"{{{BOT}}}"),
    ("bot_id", ""),
    ("app_id", "x"),
    ("graph_app_id", "x"),
    ("version", "1.0"),
    ("version", "v1.0.0"),
    ("version", "1.0.00"),
    ("version", "1.0.0-"),
    ("version", ""),
    ("version", "1.0.0-" + "x" * 251),
    ("name", ""),
    ("name", "N" * 31),
    ("name", "Patch\nbay"),
    ("developer", "D" * 33),
    ("privacy_url", "http://www.example.com"),
    ("terms_url", "terms"),
    ("out", "manifest.json"),
]


@pytest.mark.parametrize(("option", "value"), BAD, ids=[f"{option} {value[:40]}" for option, value in BAD])
def test_bad_input_names_its_option(
    manifest: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    """Exit code 2 and the option's name, and no file."""
    monkeypatch.chdir(tmp_path)
    ended = manifest("--json", **{option: value})
    (line,) = ended.lines
    assert (ended.code, line["error"]["exit_code"]) == (2, 2)
    assert line["error"]["message"].startswith(f"--{option.replace('_', '-')} ")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(manifest: Run, tmp_path: Path) -> None:
    """The option, the file and the reason."""
    ended = manifest(out=str(tmp_path / "absent" / "app.zip"))
    assert ended.code == 2
    assert "--out" in ended.err
    assert "No such file" in ended.err


def test_the_bot_must_be_named(patchbay: Run) -> None:
    """Options without a default are asked for by name."""
    ended = patchbay("teams", "manifest", "--base-url", "https://patchbay.example.com")
    assert ended.code == 2
    assert "--bot-id" in ended.err
