"""What every command that asks a server shares: the options, the client, the end with an exit code."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from patchbay_client import TLS, Patchbay

from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.reading import read_api_key

DEFAULT_SERVER = "127.0.0.1:7700"

ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT", help=f"Server. [PATCHBAY_SERVER, else {DEFAULT_SERVER}]"),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option("--api-key-file", metavar="FILE", help="File with the API key. [else PATCHBAY_API_KEY]"),
]
TenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="NAME", help="Tenant, by id or slug. [PATCHBAY_TENANT, else your only one]"),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca-file", metavar="FILE", help="Authorities to trust, PEM. [PATCHBAY_CA_FILE]"),
]
ClientCertOption = Annotated[
    Path | None,
    typer.Option("--client-cert", metavar="FILE", help="Certificate to show, PEM. [PATCHBAY_CLIENT_CERT_FILE]"),
]
ClientKeyOption = Annotated[
    Path | None, typer.Option("--client-key", metavar="FILE", help="Its key, PEM. [PATCHBAY_CLIENT_KEY_FILE]")
]
PlaintextOption = Annotated[bool, typer.Option("--plaintext", help="No TLS although the server is on another machine.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output and standard error.")]


@dataclass(frozen=True, kw_only=True)
class Given:
    """The shared options as given before or after a command's name."""

    server: str | None = None
    api_key_file: Path | None = None
    tenant: str | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    plaintext: bool = False
    as_json: bool = False

    def over(self, base: "Given") -> "Given":
        """Returns these options, where not given those of `base`."""
        mine = {name: value for name, value in vars(self).items() if value not in (None, False)}
        return replace(base, **mine)


@dataclass
class Environment:
    """What a command works with."""

    given: Given
    output: Output
    _client: Patchbay | None = field(default=None, repr=False)

    def client(self, *, outage: float = 0.0, timeout: float = 30.0) -> Patchbay:
        """Returns the client for the chosen server. `outage`: seconds for which a lost server is asked again."""
        if self._client is None:
            try:
                self._client = Patchbay(
                    self.given.server or os.environ.get("PATCHBAY_SERVER") or DEFAULT_SERVER,
                    api_key=read_api_key(self.given.api_key_file),
                    tenant=self.given.tenant or os.environ.get("PATCHBAY_TENANT", ""),
                    tls=self._tls(),
                    outage=outage,
                    timeout=timeout,
                )
            except ValueError as error:
                raise Problem(str(error)) from None
        return self._client

    def _tls(self) -> TLS | bool | None:
        if self.given.plaintext:
            return False
        named = (
            self.given.ca_file or os.environ.get("PATCHBAY_CA_FILE"),
            self.given.client_cert or os.environ.get("PATCHBAY_CLIENT_CERT_FILE"),
            self.given.client_key or os.environ.get("PATCHBAY_CLIENT_KEY_FILE"),
        )
        if not any(named):
            return None
        try:
            ca, certificate, key = (Path(file).read_bytes() if file else None for file in named)
            return TLS(ca=ca, certificate=certificate, private_key=key)
        except OSError as error:
            raise Problem(f"{error.filename} cannot be read: {error.strerror}") from None
        except ValueError as error:
            files = ", ".join(str(file) for file in named if file)
            raise Problem(f"TLS cannot be used: {error}; given: {files}") from None

    def close(self) -> None:
        """Closes the client."""
        if self._client is not None:
            self._client.close()


def shared_options(
    context: typer.Context,
    server: ServerOption = None,
    api_key_file: KeyFileOption = None,
    tenant: TenantOption = None,
    ca_file: CaOption = None,
    client_cert: ClientCertOption = None,
    client_key: ClientKeyOption = None,
    plaintext: PlaintextOption = False,
    as_json: JsonOption = False,
) -> Given:
    """Returns the options of one command, filled up with those given before its name."""
    own = Given(
        server=server,
        api_key_file=api_key_file,
        tenant=tenant,
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        plaintext=plaintext,
        as_json=as_json,
    )
    return own.over(context.obj) if isinstance(context.obj, Given) else own


_SHARED = list(inspect.signature(shared_options).parameters.values())


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a command. Its function takes an Environment first; the shared options are added to its own."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        def within(given: Given, /, **values: Any) -> None:
            environment = Environment(given, Output(machine=given.as_json))
            try:
                function(environment, **values)
            finally:
                environment.close()

        app.command(name, help=function.__doc__)(with_shared_options(within, like=function))
        return function

    return add


def with_shared_options(function: Callable[..., None], *, like: Callable[..., None]) -> Callable[..., None]:
    """Returns what typer is to see: the parameters of `like` but its first, and the shared options.

    `function` is called with the options as one `Given`, which commands below find in their context.
    """
    own = list(inspect.signature(like).parameters.values())[1:]

    def called(**values: Any) -> None:
        context: typer.Context = values["context"]
        given = shared_options(**{each.name: values.pop(each.name) for each in _SHARED})
        context.obj = given
        function(given, **values)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in [*own, *_SHARED]]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # inspect reads it
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called
