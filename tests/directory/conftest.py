"""The Directory service over real gRPC and a real database, with a key for each of two tenants."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from server.core.directory import Directory
from server.core.identity import Authenticator
from server.core.tenancy import Tenants
from server.edge.directory import DirectoryServicer
from server.gen.patchbay.v1 import directory_pb2 as pb
from server.store.accounts import Accounts
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from server.store.directory import DirectoryRows
from server.store.tenants import Tenants as TenantRows
from tests.identity.calling import Caller, served
from tests.identity.conftest import MakeKey, keys, make_key

__all__ = ["keys", "make_key"]


def new_id() -> str:
    """Returns a UUID."""
    return str(uuid4())


@dataclass
class Office:
    """A tenant, and a caller whose key is bound to it."""

    tenant: str
    call: Caller

    async def put(self, *users: dict[str, Any], **more: Any) -> pb.UpsertUsersResponse:
        """Upserts users."""
        answer: pb.UpsertUsersResponse = await self.call("UpsertUsers", upsert(*users, **more))
        return answer

    async def users(self, **asked: Any) -> list[pb.DirectoryUser]:
        """Lists users."""
        answer = await self.call("ListUsers", pb.ListUsersRequest(**asked))
        return list(answer.users)


def upsert(*users: dict[str, Any], **more: Any) -> pb.UpsertUsersRequest:
    """Returns the request that upserts users."""
    return pb.UpsertUsersRequest(users=[pb.DirectoryUser(**user) for user in users], **more)


@pytest.fixture
async def served_directory(database: Database, keys: ApiKeyRows) -> AsyncIterator[Caller]:
    """A caller without a key."""
    directory = Directory(DirectoryRows(database), partial(Accounts, database))
    servicer = DirectoryServicer(directory, Tenants(TenantRows(database)))
    service = pb.DESCRIPTOR.services_by_name["Directory"]
    async with served(service, servicer, Authenticator(keys, mode="required")) as caller:
        yield caller


@pytest.fixture
async def office(served_directory: Caller, database: Database, make_key: MakeKey) -> Office:
    """A tenant."""
    return await opened(served_directory, database, make_key)


@pytest.fixture
async def stranger(served_directory: Caller, database: Database, make_key: MakeKey) -> Office:
    """Another tenant."""
    return await opened(served_directory, database, make_key)


async def opened(caller: Caller, database: Database, make_key: MakeKey, *permissions: str) -> Office:
    """Creates a tenant with a key."""
    tenant = (await TenantRows(database).create(f"t-{uuid4().hex}")).id
    _, token = await make_key(tenants=frozenset({tenant}), permissions=permissions or ("directory",))
    return Office(tenant, caller.using(token))
