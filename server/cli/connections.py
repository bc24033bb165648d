"""`connections list|connect|test|disconnect|providers`."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import typer
from patchbay_client import to_json
from patchbay_client.gen.patchbay import v1

from server.cli.environment import Environment, command
from server.cli.exits import ExitCode
from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.reading import is_secret_name, read_json_object
from server.cli.settings_form import Question, ask, put, questions
from server.cli.signing_in import Pledge, sign_in

app = typer.Typer(help="The tenant's connections to its tools.", no_args_is_help=True)

ProviderArgument = Annotated[str, typer.Argument(metavar="PROVIDER", help="Tool, such as tacticalrmm.")]


def list_connections(environment: Environment) -> None:
    """Lists the tenant's connections, without secrets."""
    found = environment.client().connections.list()
    output = environment.output
    headings = ("provider", "state", "address", "connected", "last failure")
    output.answer([to_json(each) for each in found], lambda: output.table(headings, map(_row, found)))


def _row(connection: v1.Connection) -> tuple[Any, ...]:
    connected = f"{connection.connect_time:%Y-%m-%d %H:%M}" if connection.connect_time else "never"
    failure = connection.last_failure.reason if connection.last_failure else ""
    state = "active" if connection.active else "inactive"
    return connection.provider, state, connection.instance_url, connected, failure


def providers(environment: Environment) -> None:
    """Lists the tools that can be connected, with their settings."""
    found = environment.client().connections.providers()
    output = environment.output
    output.answer([_provider_json(each) for each in found], lambda: _show_providers(output, found))


def _provider_json(provider: v1.Provider) -> dict[str, Any]:
    told = {"provider": provider.provider, "label": provider.label, "settings": _schema(provider)}
    return told | ({"sign_in_field": provider.sign_in_field} if provider.sign_in_field else {})


def _schema(provider: v1.Provider) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(provider.settings.inlined_json if provider.settings else "{}")
    return schema


def _show_providers(output: Output, found: list[v1.Provider]) -> None:
    for provider in found:
        output.line(f"{provider.label} ({provider.provider})", style="bold")
        output.table(("setting", "", "meaning"), _setting_rows(provider))
        if provider.sign_in_field:
            output.line("  or sign in in the browser: --sign-in")


def _setting_rows(provider: v1.Provider) -> Iterator[tuple[str, str, str]]:
    for question in _askable(provider, questions(_schema(provider)), signs_in=False):
        yield f"  {question.path}", "secret" if question.secret else "", question.description


def connect(
    environment: Environment,
    provider: ProviderArgument,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting that is no secret, may be repeated."),
    ] = None,
    settings: Annotated[
        str,
        typer.Option("--settings", metavar="@FILE|-", help="All settings and secrets as JSON from a file or stdin."),
    ] = "",
    private_network: Annotated[
        list[str] | None,
        typer.Option("--private-network", metavar="CIDR", help="Network it may reach although it is not public."),
    ] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Lets it use http without TLS.")] = False,
    in_browser: Annotated[bool, typer.Option("--sign-in", help="Has a person sign in in the browser.")] = False,
    browser: Annotated[bool, typer.Option(help="Opens the browser for --sign-in; else only shows the address.")] = True,
    redirect_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1 that --sign-in comes back to. 0: a free one.")
    ] = 0,
) -> None:
    """Tests settings and credentials at the vendor and stores them when it accepts them.

    Secrets are asked for without being shown, or read with the other settings from standard input (`--settings -`).
    With `--sign-in` the vendor's page opens in the browser; the app at the vendor must allow
    `http://127.0.0.1:PORT/` as a redirect address.
    """
    assigned = [_assignment(text) for text in assignments or ()]
    values = _given(settings)
    chosen = _provider(environment, provider)
    all_questions = questions(_schema(chosen))
    asked = _askable(chosen, all_questions, signs_in=in_browser)
    for path, value in assigned:
        _refuse_secret(path, secret=any(each.secret and each.path == path for each in all_questions))
        put(values, path, value)
    if not settings:
        _interview(environment.output, asked, values)
    grant: dict[str, Any] = {"private_networks": private_network or (), "plain_http": plain_http}
    if in_browser:
        begin = partial(_begin, environment, provider, values, grant)
        code = sign_in(environment.output, begin, port=redirect_port, browser=browser)
        put(values, chosen.sign_in_field, code)
    with environment.output.waiting(f"asking {chosen.label}"):
        connection = environment.client().connections.connect(provider, values, **grant)
    _told(environment.output, connection, "is connected")


def _begin(
    environment: Environment, provider: str, values: dict[str, Any], grant: dict[str, Any], uri: str, pledge: Pledge
) -> str:
    return environment.client().connections.begin_sign_in(
        provider, values, redirect_uri=uri, state=pledge.state, code_challenge=pledge.challenge, **grant
    )


def _askable(provider: v1.Provider, found: list[Question], *, signs_in: bool) -> list[Question]:
    """Returns what a person can be asked for: what a sign-in gives is not."""
    field = provider.sign_in_field
    if signs_in and not field:
        raise Problem(f"{provider.label} has no sign-in in the browser; leave --sign-in out")
    return [each for each in found if not field or not each.path.startswith(f"{field}.")]


def _provider(environment: Environment, name: str) -> v1.Provider:
    found = environment.client().connections.providers()
    for provider in found:
        if provider.provider == name:
            return provider
    names = ", ".join(each.provider for each in found) or "none"
    raise Problem(f"there is no provider {name!r}; there are: {names}", ExitCode.NOT_FOUND)


def _given(settings: str) -> dict[str, Any]:
    if settings and settings != "-" and not settings.startswith("@"):
        raise Problem("--settings takes @FILE or -, so that no secret stands in an argument")
    return read_json_object(settings, "--settings") if settings else {}


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise Problem("--set takes NAME=VALUE")
    _refuse_secret(name, secret=is_secret_name(name))
    return name, value == "true" if value in {"true", "false"} else value


def _refuse_secret(path: str, *, secret: bool) -> None:
    if secret:
        raise Problem(f"{path} is a secret: leave it out to be asked for it, or use --settings -")


def _interview(output: Output, asked: list[Question], values: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise Problem("secrets are asked for at a terminal; without one give all settings by --settings -")
    ask(output, asked, values)


def test(environment: Environment, provider: ProviderArgument) -> None:
    """Tests the stored credentials at the vendor."""
    with environment.output.waiting("asking the vendor"):
        connection = environment.client().connections.test(provider)
    _told(environment.output, connection, "works")


def disconnect(environment: Environment, provider: ProviderArgument) -> None:
    """Makes a connection inactive and destroys its credentials."""
    _told(environment.output, environment.client().connections.disconnect(provider), "is disconnected")


def _told(output: Output, connection: v1.Connection, what: str) -> None:
    output.answer(to_json(connection), lambda: output.line(f"{connection.provider} {what}"))


command(app, "list")(list_connections)
command(app, "providers")(providers)
command(app, "connect")(connect)
command(app, "test")(test)
command(app, "disconnect")(disconnect)
