"""A module: one registration of a contract, its handlers and its availability."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, Final, Generic, Protocol, TypeVar

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from server.gen.patchbay.v1 import options_pb2
from server.sdk.availability import AvailabilityResolver, rmm_connection
from server.sdk.events import Consumer
from server.sdk.http import HttpClient
from server.sdk.tokens import MemoryTokens, TokenKeeper

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
S = TypeVar("S", bound=Message)
H = TypeVar("H", bound=Callable[..., Awaitable[Message]])

_PROBE: Final = "probe_"

Handler = Callable[..., Awaitable[Message]]
"""`async def run_script(request: RunScriptRequest, ctx: ActionContext[Client]) -> RunScriptResponse`."""

Probe = Callable[..., Awaitable[Message | None]]
"""`async def probe(request, ctx: ProbeContext[Client])`: returns the output when the effect is proved, raises an
ActionFailure with a reason that the action declares, or with effect APPLIED, when its absence or failure is proved,
returns None when nothing is proved yet. Any other failure proves nothing. Secret fields of `request` hold `***`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionScope(Generic[S]):
    """What a module's `connect` is given. `settings` holds the decrypted credentials; `http` obeys the grant; `tokens`
    is for AccessTokens."""

    tenant: str
    connection_id: str
    settings: S = field(repr=False)
    http: HttpClient
    tokens: TokenKeeper = field(default_factory=MemoryTokens, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A sign-in that is to begin, as the address for the browser must hold it.

    Attributes:
        redirect_uri: Where the vendor sends the browser back to.
        state: Random text that comes back.
        code_challenge: PKCE challenge of kind S256.
    """

    redirect_uri: str
    state: str
    code_challenge: str


class ClientClass(Protocol[S, C_co]):
    """A class of vendor clients: each is made from a connection, and knows no other."""

    def __call__(self, scope: ConnectionScope[S]) -> C_co:
        """Makes the client of a connection; must not send anything."""

    def instance_url(self, settings: S) -> str:
        """Returns the normalized address of the vendor, by a static method; raises ActionFailure with `field`."""

    def check(_class, self: Any) -> Awaitable[None]:  # noqa: N805 - a method of the class's instances
        """Asks the vendor whether it accepts the credentials; raises ActionFailure when it does not."""


@dataclass(frozen=True, kw_only=True)
class IntegrationModule(Generic[S, C]):
    """One tool. `IntegrationModule.of` makes it from a contract, a class of vendor clients and files of handlers.

    Attributes:
        contract: The module's service; its options declare tile and actions.
        handlers: One function per rpc, named like it in snake_case; types are compared with the contract. Usually
            `handlers_in(actions)`.
        availability: Says whether a tenant can use the module. None: always, for core groups only.
        connect: Makes the vendor client from settings; called once per connection, tenant and revision of the
            settings, never per call. Must not send anything. None: the module needs no connection.
        check: Asks the vendor whether it accepts the credentials; raises ActionFailure when it does not.
        instance_url: Returns the normalized address of the vendor from settings; raises ActionFailure with `field`.
        sign_in: Returns the address at which a person signs in, from settings whose AuthorizationCode is a dummy;
            see `authorize_url`. For connection messages with one field of that type, and only for them.
        probes: By the name of their handler, reads that can prove what happened. Usually `probes_in(actions)`.
        consume: Is told the events of the board while a tenant has the module connected; see `server.sdk.events`.
        descriptor_set: Serialized FileDescriptorSet with comments, for modules outside this repository.
    """

    contract: ServiceDescriptor
    handlers: Sequence[Handler]
    availability: AvailabilityResolver | None = None
    connect: Callable[[ConnectionScope[S]], C] | None = None
    check: Callable[[C], Awaitable[None]] | None = None
    instance_url: Callable[[S], str] | None = None
    sign_in: Callable[[S, SignIn], str] | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    consume: Consumer | None = None
    descriptor_set: bytes | None = None

    @classmethod
    def of(
        cls,
        contract: FileDescriptor,
        client: ClientClass[S, C],
        *actions: ModuleType,
        availability: AvailabilityResolver | None = None,
        sign_in: Callable[[S, SignIn], str] | None = None,
        consume: Consumer | None = None,
        descriptor_set: bytes | None = None,
    ) -> "IntegrationModule[S, C]":
        """Returns the module of a tool that tenants connect.

        Args:
            contract: The proto file, whose only service is the module.
            client: Class of vendor clients.
            *actions: Python modules with the handlers, and `probe_<handler>` for those that have a probe.
            availability: Says whether a tenant can use the module. None: as `rmm_connection` says.
            sign_in: As above, and so are the others.
            consume: Is told the events of the board.
            descriptor_set: The contract with its comments.
        """
        (service,) = contract.services_by_name.values()
        tile = service.GetOptions().Extensions[options_pb2.module]
        return cls(
            contract=service,
            handlers=handlers_in(*actions),
            availability=availability or rmm_connection(tile.group_key.removeprefix("app:"), tile.label),
            connect=client,
            check=client.check,
            instance_url=client.instance_url,
            sign_in=sign_in,
            probes=probes_in(*actions),
            consume=consume,
            descriptor_set=descriptor_set,
        )


class Registrar(Protocol):
    """Where modules register. Adding the same module twice is the same as once."""

    def add(self, module: IntegrationModule[Any, Any]) -> None:
        """Adds a module; raises ContractError naming everything that does not fit."""


def handlers_in(*actions: ModuleType) -> list[Handler]:
    """Returns the handlers that Python modules define: their public coroutine functions, apart from `probe_...`."""
    return [one for one in _functions_of(actions) if not one.__name__.startswith(("_", _PROBE))]


def probes_in(*actions: ModuleType) -> dict[str, Probe]:
    """Returns the probes that Python modules define, by handler: `probe_run_script` is the one of `run_script`."""
    found = [one for one in _functions_of(actions) if one.__name__.startswith(_PROBE)]
    return {one.__name__.removeprefix(_PROBE): one for one in found}


def _functions_of(actions: Sequence[ModuleType]) -> list[Callable[..., Any]]:
    known = [(file.__name__, one) for file in actions for one in vars(file).values()]
    return [one for file, one in known if iscoroutinefunction(one) and one.__module__ == file]


def sends_at_once(handler: H) -> H:
    """Marks a handler whose first request is already the write: claim and send mark then are one statement."""
    handler.sends_at_once = True  # type: ignore[attr-defined]
    return handler


def transactional(handler: H) -> H:
    """Marks a handler whose whole effect is in our database: effect, record and outcome share one transaction."""
    handler.transactional = True  # type: ignore[attr-defined]
    return handler
