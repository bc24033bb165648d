"""Every rpc of `patchbay.v1` in one table: path, request, response, and whether repeating it is harmless."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from betterproto2 import Message

from patchbay_client.gen.patchbay import v1

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    """One rpc.

    Attributes:
        path: Full path, such as `/patchbay.v1.Catalog/GetCatalog`.
        request: Class of the request.
        response: Class of the response, or of one message of the stream.
        repeatable: Whether a call that got no answer may simply be made again. ExecuteAction is not marked:
            what makes it repeatable is its key, which only the caller's request shows.
        streaming: Whether the server answers with a stream.
    """

    path: str
    request: type[RequestT]
    response: type[ResponseT]
    repeatable: bool = True
    streaming: bool = False


GET_CATALOG = Method("/patchbay.v1.Catalog/GetCatalog", v1.GetCatalogRequest, v1.GetCatalogResponse)
GET_ACTION = Method("/patchbay.v1.Catalog/GetAction", v1.GetActionRequest, v1.GetActionResponse)
LIST_FIELD_OPTIONS = Method(
    "/patchbay.v1.Catalog/ListFieldOptions", v1.ListFieldOptionsRequest, v1.ListFieldOptionsResponse
)
WATCH_CATALOG = Method(
    "/patchbay.v1.Catalog/WatchCatalog", v1.WatchCatalogRequest, v1.WatchCatalogResponse, streaming=True
)

EXECUTE_ACTION = Method(
    "/patchbay.v1.ActionExecutor/ExecuteAction",
    v1.ExecuteActionRequest,
    v1.ExecuteActionResponse,
    repeatable=False,
)
GET_EXECUTION = Method("/patchbay.v1.ActionExecutor/GetExecution", v1.GetExecutionRequest, v1.GetExecutionResponse)
LIST_EXECUTIONS = Method(
    "/patchbay.v1.ActionExecutor/ListExecutions", v1.ListExecutionsRequest, v1.ListExecutionsResponse
)
RESOLVE_EXECUTION = Method(
    "/patchbay.v1.ActionExecutor/ResolveExecution", v1.ResolveExecutionRequest, v1.ResolveExecutionResponse
)
CANCEL_EXECUTION = Method(
    "/patchbay.v1.ActionExecutor/CancelExecution", v1.CancelExecutionRequest, v1.CancelExecutionResponse
)
VALIDATE_ACTION = Method(
    "/patchbay.v1.ActionExecutor/ValidateAction", v1.ValidateActionRequest, v1.ValidateActionResponse
)

LIST_PROVIDERS = Method("/patchbay.v1.Connections/ListProviders", v1.ListProvidersRequest, v1.ListProvidersResponse)
CONNECT = Method("/patchbay.v1.Connections/Connect", v1.ConnectRequest, v1.ConnectResponse, repeatable=False)
BEGIN_SIGN_IN = Method("/patchbay.v1.Connections/BeginSignIn", v1.BeginSignInRequest, v1.BeginSignInResponse)
TEST_CONNECTION = Method(
    "/patchbay.v1.Connections/TestConnection",
    v1.TestConnectionRequest,
    v1.TestConnectionResponse,
    repeatable=False,
)
DISCONNECT = Method("/patchbay.v1.Connections/Disconnect", v1.DisconnectRequest, v1.DisconnectResponse)
LIST_CONNECTIONS = Method(
    "/patchbay.v1.Connections/ListConnections", v1.ListConnectionsRequest, v1.ListConnectionsResponse
)

UPSERT_USERS = Method("/patchbay.v1.Directory/UpsertUsers", v1.UpsertUsersRequest, v1.UpsertUsersResponse)
LIST_USERS = Method("/patchbay.v1.Directory/ListUsers", v1.ListUsersRequest, v1.ListUsersResponse)
DEACTIVATE_USER = Method("/patchbay.v1.Directory/DeactivateUser", v1.DeactivateUserRequest, v1.DeactivateUserResponse)
LINK_ACCOUNT = Method("/patchbay.v1.Directory/LinkAccount", v1.LinkAccountRequest, v1.LinkAccountResponse)
SET_CALENDAR = Method("/patchbay.v1.Directory/SetCalendar", v1.SetCalendarRequest, v1.SetCalendarResponse)
UPSERT_WORK_ITEMS = Method(
    "/patchbay.v1.Directory/UpsertWorkItems", v1.UpsertWorkItemsRequest, v1.UpsertWorkItemsResponse
)
LIST_WORK_ITEMS = Method("/patchbay.v1.Directory/ListWorkItems", v1.ListWorkItemsRequest, v1.ListWorkItemsResponse)

GET_BOARD = Method("/patchbay.v1.Dispatch/GetBoard", v1.GetBoardRequest, v1.GetBoardResponse)
GET_SYNC = Method("/patchbay.v1.Dispatch/GetSync", v1.GetSyncRequest, v1.GetSyncResponse)
LIST_DEAD_LETTERS = Method(
    "/patchbay.v1.Dispatch/ListDeadLetters", v1.ListDeadLettersRequest, v1.ListDeadLettersResponse
)
RETRY_DEAD_LETTER = Method(
    "/patchbay.v1.Dispatch/RetryDeadLetter", v1.RetryDeadLetterRequest, v1.RetryDeadLetterResponse
)
CREATE_FEED = Method("/patchbay.v1.Dispatch/CreateFeed", v1.CreateFeedRequest, v1.CreateFeedResponse, repeatable=False)
LIST_FEEDS = Method("/patchbay.v1.Dispatch/ListFeeds", v1.ListFeedsRequest, v1.ListFeedsResponse)
REVOKE_FEED = Method("/patchbay.v1.Dispatch/RevokeFeed", v1.RevokeFeedRequest, v1.RevokeFeedResponse)

CREATE_TENANT = Method("/patchbay.v1.Identity/CreateTenant", v1.CreateTenantRequest, v1.CreateTenantResponse)
LIST_TENANTS = Method("/patchbay.v1.Identity/ListTenants", v1.ListTenantsRequest, v1.ListTenantsResponse)
CREATE_API_KEY = Method(
    "/patchbay.v1.Identity/CreateApiKey", v1.CreateApiKeyRequest, v1.CreateApiKeyResponse, repeatable=False
)
LIST_API_KEYS = Method("/patchbay.v1.Identity/ListApiKeys", v1.ListApiKeysRequest, v1.ListApiKeysResponse)
REVOKE_API_KEY = Method("/patchbay.v1.Identity/RevokeApiKey", v1.RevokeApiKeyRequest, v1.RevokeApiKeyResponse)


METHODS: tuple[Method[Message, Message], ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Method)
)
"""All of the above, in the order of the protos."""
