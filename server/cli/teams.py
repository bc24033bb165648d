"""`teams manifest`: the package with which an administrator brings the bot into Teams."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from server.cli.environment import Environment, command
from server.cli.operating import part_of_server
from server.cli.output import Output
from server.cli.problems import Problem

app = typer.Typer(help="Microsoft Teams: what an administrator there needs.", no_args_is_help=True)

_PACKAGE = "server.modules.teams.package"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{4,253}}\Z)({_LABEL}\.)+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])")
_LONGEST_URL = 2048
_PLAIN_URL = re.compile(rf"[!$->@-\[\]-~]{{1,{_LONGEST_URL}}}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NUMBER, _MORE = "(0|[1-9][0-9]{0,8})", r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_MORE})?(\+{_MORE})?")
_LONGEST_VERSION = 256


def manifest(
    environment: Environment,
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="https address of Patchbay as the internet sees it.")
    ],
    bot_id: Annotated[str, typer.Option("--bot-id", metavar="UUID", help="Application id of the bot.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="Where the package goes.")] = Path(
        "patchbay-teams.zip"
    ),
    app_id: Annotated[
        str | None, typer.Option("--app-id", metavar="UUID", help="Id of the Teams app. Default: the bot's.")
    ] = None,
    graph_app_id: Annotated[
        str | None, typer.Option("--graph-app-id", metavar="UUID", help="App that asks Graph. Default: the bot's.")
    ] = None,
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="Version of the package; raise it to upload it again.")
    ] = "1.0.0",
    name: Annotated[str, typer.Option("--name", help="What people in Teams see, up to 30 characters.")] = "Patchbay",
    developer: Annotated[
        str, typer.Option("--developer", help="Who offers the app, up to 32 characters.")
    ] = "Patchbay operator",
    privacy_url: Annotated[
        str | None, typer.Option("--privacy-url", metavar="URL", help="Privacy notice. Default: the base address.")
    ] = None,
    terms_url: Annotated[
        str | None, typer.Option("--terms-url", metavar="URL", help="Terms of use. Default: the base address.")
    ] = None,
) -> None:
    """Writes the app package of a bot: manifest and icons, to be uploaded to Teams.

    It gives the bot the scopes personal, team and groupChat and declares the activity types of notices. Asks no server.
    """
    address, bot = _https("--base-url", base_url), _uuid("--bot-id", bot_id)
    made = part_of_server(_PACKAGE, "App")(
        base_url=address,
        bot_id=bot,
        graph_app_id=bot if graph_app_id is None else _uuid("--graph-app-id", graph_app_id),
        app_id=bot if app_id is None else _uuid("--app-id", app_id),
        version=_version("--version", version),
        name=_short("--name", name, 30),
        developer=_short("--developer", developer, 32),
        privacy_url=address if privacy_url is None else _https("--privacy-url", privacy_url),
        terms_url=address if terms_url is None else _https("--terms-url", terms_url),
    )
    _write(_zip("--out", out), part_of_server(_PACKAGE, "package_of")(made))
    endpoint = part_of_server(_PACKAGE, "messaging_endpoint")(address)
    facts = {"file": str(out), "messaging_endpoint": endpoint}
    environment.output.answer(
        {**facts, "manifest": part_of_server(_PACKAGE, "manifest_of")(made)}, lambda: _show(environment.output, facts)
    )


def _show(output: Output, facts: dict[str, str]) -> None:
    output.line(f"{facts['file']}: upload it in the Teams admin center, under Manage apps")
    output.line(f"messaging endpoint of the Azure Bot: {facts['messaging_endpoint']}")


def _https(option: str, given: str) -> str:
    """Returns an address without a last slash."""
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Problem(f"{option} is no address") from None
    if parts.scheme != "https":
        raise Problem(f"{option} must begin with https://: Teams takes no other address")
    if not _HOST.fullmatch(host):
        raise Problem(f"{option} must name a host with a domain, such as https://patchbay.example.com")
    if not _PLAIN_URL.fullmatch(given) or "@" in parts.netloc:
        raise Problem(f"{option} must be a plain address: no user, no query, no fragment, {_LONGEST_URL} characters")
    return given.rstrip("/")


def _uuid(option: str, given: str) -> str:
    if not _UUID.fullmatch(given):
        raise Problem(f"{option} must be a UUID, such as 0b7c2c2e-1111-4c55-8f52-2f1f6c0a9d10")
    return given.lower()


def _version(option: str, given: str) -> str:
    if not _SEMVER.fullmatch(given) or len(given) > _LONGEST_VERSION:
        raise Problem(f"{option} must be a semantic version, such as 1.0.0")
    return given


def _short(option: str, given: str, longest: int) -> str:
    if not given.strip() or len(given) > longest or not given.isprintable():
        raise Problem(f"{option} must be 1 to {longest} visible characters")
    return given.strip()


def _zip(option: str, given: Path) -> Path:
    if given.suffix.lower() != ".zip":
        raise Problem(f"{option} must end in .zip")
    return given


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Problem(f"--out cannot be written to {file}: {error.strerror}") from None


command(app, "manifest")(manifest)
