"""A caller that keeps everything it is told."""

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import Message

from server.gen.patchbay.v1 import executor_pb2
from tests.regressions.calling import direct
from tests.support.served import TENANT, Caller, struct


class Heard:
    """Calls, and keeps each answer, or each error with details and metadata."""

    def __init__(self, target: str, api_key: str, told: bytearray | None = None) -> None:
        self.caller = Caller(target, api_key)
        self.told = bytearray() if told is None else told
        self.count = 0

    async def keep(self, call: Awaitable[Any]) -> Any:
        """Awaits a call; returns its answer, None after an error."""
        self.count += 1
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            metadata = [*(error.trailing_metadata() or ()), *(error.initial_metadata() or ())]
            self._note(f"{error!r}\n{error.details()}\n{error.debug_error_string()}\n{metadata}".encode())
            for _, value in metadata:
                self._note(value if isinstance(value, bytes) else str(value).encode())
            return None
        with suppress(AttributeError):
            self._note(f"{await call.trailing_metadata()}{await call.initial_metadata()}".encode())  # type: ignore[attr-defined] # gRPC's calls have them
        if isinstance(answer, Message):
            self._note(answer.SerializeToString() + str(answer).encode())
        return answer

    def _note(self, told: bytes) -> None:
        self.told += told + b"\n"

    async def __call__(self, rpc: str, request: Message, timeout: float = 30.0, **headers: str) -> Any:
        """Calls one of our services."""
        return await self.keep(self.caller(rpc, request, timeout, **headers))

    async def execute(self, action: str, given: Any, key: str = "", timeout: float = 30.0, **more: Any) -> Any:
        """Executes an action; returns the execution, None after an error."""
        facts = {"tenant": TENANT, "idempotency_key": key, **more}
        payload = executor_pb2.Payload(json=struct(given))
        request = executor_pb2.ExecuteActionRequest(action=action, input=payload, **facts)
        answer = await self("ActionExecutor/ExecuteAction", request, timeout)
        return answer and answer.execution

    async def direct(self, rpc: str, request: Message, key: str = "", tenant: str = TENANT, **more: str) -> Any:
        """Calls a module's own rpc."""
        metadata = {"x-patchbay-tenant": tenant, "idempotency-key": key, **more}
        return await self.keep(direct(self.caller, rpc, request, *metadata.items()))
