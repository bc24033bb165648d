"""Answers: read to the end within a limit, unpacked under that same limit."""

import json
import re
import time
import zlib
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.sdk.failures import ActionFailure, OutcomeUnknown
from server.sdk.http.retry import advised_wait

_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_EITHER_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class TooLargeError(Exception):
    """The answer is larger than accepted. `begun` is as much of it as is."""

    def __init__(self, begun: bytes) -> None:
        super().__init__("too large")
        self.begun = begun


class UnreadableError(Exception):
    """The answer is packed in a way that was not asked for, or broken."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One complete answer.

    Attributes:
        status: HTTP status.
        headers: Names in any case.
        content: The unpacked body.
        request_wrote: Whether the request may have changed something at the vendor.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    request_wrote: bool

    @property
    def text(self) -> str:
        """The body in the charset it names, else UTF-8; broken bytes are replaced."""
        named = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            return self.content.decode(named[1] if named else "utf-8", "replace")
        except (LookupError, UnicodeError):
            return self.content.decode("utf-8", "replace")

    @property
    def retry_after(self) -> float | None:
        """Seconds that the answer asks to wait; None when it asks for nothing that makes sense."""
        return advised_wait(self.headers.get("retry-after", ""), time.time())

    def json(self) -> Any:
        """Returns the body's value.

        Raises:
            ActionFailure: VENDOR_ANSWER_INVALID when a read was not answered with JSON.
            OutcomeUnknown: A write was not answered with JSON.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise self.invalid("The vendor answered something that is not JSON.") from None

    def invalid(self, message: str) -> ActionFailure:
        """Returns the failure of an answer that makes no sense: VENDOR_ANSWER_INVALID, after a write OutcomeUnknown."""
        if self.request_wrote:
            return OutcomeUnknown(message, vendor_status=self.status)
        return ActionFailure("VENDOR_ANSWER_INVALID", message, vendor_status=self.status)


async def read_body(chunks: AsyncIterable[bytes], encoding: str, limit: int) -> bytes:
    """Returns the unpacked body.

    Raises:
        TooLargeError: It is longer than `limit` bytes after unpacking; not more than one byte over it was ever held
            unpacked.
        UnreadableError: It is packed otherwise than by gzip or deflate, or broken.
    """
    body = bytearray()
    inflater = _inflater(encoding)
    async for chunk in chunks:
        body += inflater.unpack(chunk, limit - len(body)) if inflater else chunk
        if len(body) > limit:
            raise TooLargeError(bytes(body[:limit]))
    if inflater is not None and not inflater.complete:
        raise UnreadableError
    return bytes(body)


def _inflater(encoding: str) -> "_Inflater | None":
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadableError
    return _Inflater()


class _Inflater:
    """Unpacks gzip, zlib and bare deflate, never producing more than one byte over what is still accepted."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_EITHER_GZIP_OR_ZLIB)
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether the packed data ended where the body did, or there was none."""
        return not self._begun or (self._inflate.eof and not self._inflate.unused_data)

    def unpack(self, chunk: bytes, room: int) -> bytes:
        try:
            return self._unpack(chunk, room)
        except zlib.error:
            raise UnreadableError from None
        finally:
            self._begun = True

    def _unpack(self, chunk: bytes, room: int) -> bytes:
        try:
            return self._inflate.decompress(chunk, room + 1)
        except zlib.error:
            if self._begun:
                raise
            # Some servers call deflate what has no zlib header (RFC 9110 section 8.4.1.2 warns of them).
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inflate.decompress(chunk, room + 1)
