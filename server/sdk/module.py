"""A module: one registration of a contract, its handlers and its availability."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from server.sdk.availability import AvailabilityResolver
from server.sdk.events import Consumer
from server.sdk.http import HttpClient
from server.sdk.tokens import MemoryTokens, TokenKeeper

C = TypeVar("C")
S = TypeVar("S", bound=Message)
H = TypeVar("H", bound=Callable[..., Awaitable[Message]])

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


@dataclass(frozen=True, kw_only=True)
class IntegrationModule(Generic[S, C]):
    """One tool.

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
        probes: By action id, reads that can prove what happened.
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


class Registrar(Protocol):
    """Where modules register. Adding the same module twice is the same as once."""

    def add(self, module: IntegrationModule[Any, Any]) -> None:
        """Adds a module; raises ContractError naming everything that does not fit."""


def handlers_in(actions: ModuleType) -> list[Handler]:
    """Returns the handlers that a Python module defines: its public coroutine functions, apart from `probe_...`."""
    own = [one for one in vars(actions).values() if getattr(one, "__module__", "") == actions.__name__]
    return [one for one in own if iscoroutinefunction(one) and not one.__name__.startswith(("_", "probe_"))]


def sends_at_once(handler: H) -> H:
    """Marks a handler whose first request is already the write: claim and send mark then are one statement."""
    handler.sends_at_once = True  # type: ignore[attr-defined]
    return handler


def transactional(handler: H) -> H:
    """Marks a handler whose whole effect is in our database: effect, record and outcome share one transaction."""
    handler.transactional = True  # type: ignore[attr-defined]
    return handler
