"""The app package: what is in it, that Microsoft's rules hold, that Microsoft's schema takes it."""

import hashlib
import io
import json
import struct
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from server.gen.patchbay.modules.teams.v1.teams_pb2 import NotifyUserRequest, TeamsConnection
from server.modules.teams.activities import OF_CATEGORY
from server.modules.teams.messages import notice
from server.modules.teams.package import App, manifest_of, messaging_endpoint, package_of
from tests.modules.teams.world import BOT

APP = App(
    base_url="https://patchbay.example.com",
    bot_id=BOT,
    graph_app_id=BOT,
    app_id=BOT,
    version="1.0.0",
    name="Patchbay",
    developer="Harbor MSP",
    privacy_url="https://www.example.com/privacy",
    terms_url="https://www.example.com/terms",
)
LONGEST = replace(APP, name="N" * 30, developer="D" * 32, version="1.2.3-rc.1+build.7")
SCHEMAS = Path(sys.prefix, "judges/package/build/json-schemas/teams")


def unpacked(content: bytes) -> dict[str, bytes]:
    """The files of a package."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def pixels(png: bytes) -> tuple[int, list[tuple[int, ...]]]:
    """The size of a square PNG, and its pixels as red, green, blue, opacity; every checksum is checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = dict[bytes, bytes](), 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(name + body),)
        chunks[name], at = body, at + 12 + length
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (width, form) == (height, [8, 3, 0, 0, 0])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (width + 1)
    assert not any(rows[:: width + 1])
    palette, opacity = chunks[b"PLTE"], chunks[b"tRNS"]
    levels = [level for at, level in enumerate(rows) if at % (width + 1)]
    return width, [(*palette[3 * level : 3 * level + 3], opacity[level]) for level in levels]


def test_a_package_is_a_manifest_and_two_icons() -> None:
    """Three files, which the manifest names."""
    files = unpacked(package_of(APP))
    manifest = json.loads(files["manifest.json"])
    assert manifest == manifest_of(APP)
    assert set(files) == {"manifest.json", *manifest["icons"].values()}


def test_the_same_app_is_the_same_bytes() -> None:
    """The package of a given app never changes by itself; what it is today is known."""
    assert package_of(APP) == package_of(replace(APP))
    icons = [hashlib.sha256(unpacked(package_of(APP))[name]).hexdigest()[:16] for name in ("color.png", "outline.png")]
    assert icons == ["43bf100c0c9d38c6", "e02914cc4f2ee90a"]


def test_icons_are_as_teams_wants_them() -> None:
    """192 pixels without transparency with a quiet border, and 32 pixels of white on nothing."""
    files = unpacked(package_of(APP))
    size, colour = pixels(files["color.png"])
    assert size == 192
    assert {opacity for *_, opacity in colour} == {255}
    background = colour[0]
    marked = [(at % size, at // size) for at, pixel in enumerate(colour) if pixel != background]
    assert all(48 <= place < 144 for spot in marked for place in spot)
    assert len(marked) > 1000
    size, outline = pixels(files["outline.png"])
    assert size == 32
    assert {pixel[:3] for pixel in outline} == {(255, 255, 255)}
    assert {0, 255} <= {opacity for *_, opacity in outline}


def test_the_bot_may_be_everywhere_and_asks_for_the_least_right() -> None:
    """Three scopes; notices need no consent of an administrator; the domain is the host alone."""
    app = replace(APP, base_url="https://patchbay.example.com:8443/it", app_id=BOT.replace("0b", "1c"))
    manifest = manifest_of(app)
    (bot,) = manifest["bots"]
    assert (bot["botId"], set(bot["scopes"])) == (BOT, {"personal", "team", "groupChat"})
    assert manifest["validDomains"] == ["patchbay.example.com"]
    assert manifest["webApplicationInfo"]["id"] == BOT
    assert manifest["webApplicationInfo"]["resource"]
    (right,) = manifest["authorization"]["permissions"]["resourceSpecific"]
    assert right == {"name": "TeamsActivity.Send.User", "type": "Application"}
    assert manifest["id"] == app.app_id
    assert messaging_endpoint(app.base_url) == "https://patchbay.example.com:8443/it/api/messages"


def test_every_category_is_declared_with_the_parameter_that_is_sent() -> None:
    """What a notice of a category names stands in the manifest; the type that Teams reserves does not."""
    declared = {one["type"]: one for one in manifest_of(APP)["activities"]["activityTypes"]}
    for category in OF_CATEGORY:
        sent = notice(NotifyUserRequest(title="T", category=category), TeamsConnection(bot_app_id=BOT), 1)
        template = declared.pop(sent["activityType"])["templateText"]
        assert template.replace("{actor}", "").count("{") == 1
        assert [f"{{{one['name']}}}" in template for one in sent["templateParameters"]] == [True]
    assert declared == {}


def test_the_rules_that_teams_checks_on_upload_hold() -> None:
    """Lengths of names, descriptions and types, for the longest names that are taken."""
    manifest = manifest_of(LONGEST)
    assert len(manifest["name"]["short"]) <= 30
    assert len(manifest["developer"]["name"]) <= 32
    assert len(manifest["description"]["short"]) <= 80
    assert len(manifest["description"]["full"]) <= 4000
    for one in manifest["activities"]["activityTypes"]:
        assert len(one["type"]) <= 64
        assert max(len(one["description"]), len(one["templateText"])) <= 128
    assert manifest["manifestVersion"] in manifest["$schema"]
    assert all(url.startswith("https://") for name, url in manifest["developer"].items() if name.endswith("Url"))


@pytest.mark.parametrize("app", [APP, LONGEST], ids=["usual", "longest"])
def test_microsoft_s_schema_takes_the_manifest(app: App) -> None:
    """The schema that Microsoft publishes for the manifest's version has nothing against it, and would speak up."""
    manifest = manifest_of(app)
    file = SCHEMAS / f"v{manifest['manifestVersion']}" / "MicrosoftTeams.schema.json"
    if not file.is_file():
        pytest.skip("Microsoft's package of manifest schemas is not installed: make judges")
    judge = Draft4Validator(json.loads(file.read_text(encoding="utf-8")), format_checker=Draft4Validator.FORMAT_CHECKER)
    complaints: list[Any] = list(judge.iter_errors(manifest))
    assert complaints == []
    assert not judge.is_valid({**manifest, "bots": [{**manifest["bots"][0], "scopes": ["everywhere"]}]})
    assert not judge.is_valid({**manifest, "developer": {**manifest["developer"], "websiteUrl": "patchbay"}})
