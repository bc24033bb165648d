"""`serve`, `migrate`, `secrets rotate`: the commands that are the server."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.environment import Environment, command
from server.cli.exits import ExitCode
from server.cli.problems import Problem
from server.errors import PatchbayError as ServerError

secrets = typer.Typer(help="The stored credentials of connections.", no_args_is_help=True)

DataOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", help="Folder of the embedded database and keys.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    command(app, "serve")(serve)
    command(app, "migrate")(migrate)


def part_of_server(module: str, name: str) -> Any:
    """Returns something of the server, which is imported only now.

    Raises:
        Problem: The server is not installed.
    """
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "server":
            raise
        raise Problem(
            f"this command is the server, of which {error.name} is not installed: install `patchbay[server]`"
        ) from None


def settings_from(**given: Any) -> Any:
    """Returns the server's settings: those given, the rest from the environment.

    Raises:
        Problem: A setting makes no sense.
    """
    settings = part_of_server("server.settings", "Settings")
    try:
        return settings.from_env(**given)
    except ServerError as error:
        raise Problem(str(error)) from None


def serve(
    environment: Environment,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain of the gRPC port, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option("--tls-client-ca", metavar="FILE", help="Lets in only who has a certificate of these, PEM."),
    ] = None,
    data_dir: DataOption = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes on the port.")] = None,
    reflection: Annotated[bool | None, typer.Option(help="Offers reflection, for grpcurl.")] = None,
    http_port: Annotated[
        int | None,
        typer.Option("--http-port", min=0, max=65535, help="Loopback port of calendar feeds; behind TLS."),
    ] = None,
    bot_port: Annotated[
        int | None,
        typer.Option("--bot-port", min=0, max=65535, help="Loopback port where Teams reaches the bots; behind TLS."),
    ] = None,
) -> None:
    """Runs the server until it is told to stop.

    Every setting has an environment variable `PATCHBAY_<NAME>`, such as PATCHBAY_DATABASE_URL: the database's address
    holds a password and never stands in an argument. Without it an embedded database is used.
    """
    del environment
    settings = settings_from(
        listen=listen,
        tls_cert_file=tls_cert,
        tls_key_file=tls_key,
        tls_client_ca_file=tls_client_ca,
        data_dir=data_dir,
        workers=workers,
        reflection=reflection,
        http_listen=None if http_port is None else f"127.0.0.1:{http_port}",
        bot_listen=None if bot_port is None else f"127.0.0.1:{bot_port}",
    )
    _ended(part_of_server("server.app", "serve"), settings)


def migrate(environment: Environment, data_dir: DataOption = None) -> None:
    """Brings the database to the schema of this release."""
    _ended(part_of_server("server.app", "migrate"), settings_from(data_dir=data_dir))
    environment.output.answer({"migrated": True}, lambda: environment.output.line("the database is up to date"))


def rotate(environment: Environment, data_dir: DataOption = None) -> None:
    """Wraps every stored secret by the current master key."""
    done = part_of_server("server.app", "rotate")(settings_from(data_dir=data_dir))
    output, left = environment.output, dict(done.left)
    told = f"{done.rewrapped} secrets are wrapped by the current master key"
    output.answer({"rewrapped": done.rewrapped, "left": left}, lambda: output.line(told))
    if left:
        keys = ", ".join(f"{count} of key {key}" for key, count in left.items())
        raise Problem(f"secrets that no master key at hand opens: {keys}", ExitCode.ACTION_FAILED)


def _ended(run: Callable[[Any], int | None], settings: Any) -> None:
    code = run(settings) or ExitCode.OK
    if code:
        raise typer.Exit(code)


command(secrets, "rotate")(rotate)
