"""Checks what a module's client sent against the vendor's OpenAPI document.

The documents stay outside the project (`tests/support/shared.py`). A module's tests take its document once,
`DOCUMENT = described("huntress/openapi.yaml")`, and hand it what the simulator recorded after each test:
`DOCUMENT.check(control.requests(limit=10_000))`. Where the documents are absent that checks nothing, and one test says
so: `DOCUMENT.required()` skips it with the reason.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import yaml
from jsonschema_path import SchemaPath
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.support.shared import shared

HOST = "http://vendor.test"
RECORDED_BYTES = 4096

Recorded = dict[str, Any]


class Sent:
    """A request that the sandbox recorded, as openapi-core wants it."""

    def __init__(self, recorded: Recorded) -> None:
        self.host_url = HOST
        self.path: str = recorded["path"]
        self.method: str = recorded["method"].lower()
        self.body: bytes = recorded["body"].encode()
        self.content_type: str = recorded["headers"].get("content-type", "").lower()
        self.query = parse_qsl(recorded["query"], keep_blank_values=True, strict_parsing=bool(recorded["query"]))
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(self.query), header=Headers(recorded["headers"]), cookie=ImmutableMultiDict()
        )


@dataclass(frozen=True)
class Document:
    """One vendor's OpenAPI document.

    Attributes:
        path: The YAML file; it may be absent.
        prefix: What the vendor's addresses have before the document's paths.
    """

    path: Path
    prefix: str = ""

    def required(self) -> None:
        """Skips the calling test where the document is absent."""
        if not self.path.is_file():
            pytest.skip(f"the vendor's document {self.path.name} is absent; PATCHBAY_SHARED names its folder")

    def check(self, requests: Iterable[Recorded]) -> None:
        """Fails with every way in which a request breaks the document; checks nothing where that is absent."""
        assert not self.path.is_file() or self.violations(requests) == []

    def violations(self, requests: Iterable[Recorded]) -> list[str]:
        """Every way in which a request breaks the document, one line each."""
        return [
            f"{one['method']} {one['path']}?{one['query']}: {problem}"
            for one in requests
            for problem in self._problems(one)
        ]

    @cached_property
    def _openapi(self) -> OpenAPI:
        text = self.path.read_text(encoding="utf-8")
        spec = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return OpenAPI.from_dict(spec | {"servers": [{"url": HOST + self.prefix}]})

    def _problems(self, recorded: Recorded) -> Iterator[str]:
        if len(recorded["body"].encode()) >= RECORDED_BYTES:
            yield "its body was recorded cut, so that it cannot be checked"
            return
        sent = Sent(recorded)
        try:
            found = APICallPathFinder(self._openapi.spec).find(sent.method, HOST + sent.path)
        except PathError as error:
            yield str(error)
            return
        yield from (_told(error) for error in self._openapi.iter_request_errors(sent))
        yield from _unknown_names(sent, found.path, found.operation)
        if sent.body and "requestBody" not in found.operation:
            yield "it has a body, the operation has none"
        yield from self._bare_keys(sent)

    def _bare_keys(self, sent: Sent) -> Iterator[str]:
        """Where a document wants a key in a header, no scheme such as `Bearer` stands before it."""
        schemes = self._openapi.spec / "components" / "securitySchemes"
        for name, scheme in schemes.read_value().items():
            if scheme["type"] == "apiKey" and " " in sent.parameters.header.get(scheme["name"], ""):
                yield f"{scheme['name']} must be the bare key ({name})"


def described(file: str, prefix: str = "") -> Document:
    """The document of a vendor, such as `huntress/openapi.yaml`."""
    return Document(shared("vendors", *file.split("/")), prefix)


def _unknown_names(sent: Sent, *owners: SchemaPath) -> Iterator[str]:
    known = {
        (one / "name").read_str()
        for owner in owners
        for one in owner.get("parameters", SchemaPath.from_dict({}))
        if (one / "in").read_str() == "query"
    }
    yield from (f"unknown query parameter {unquote(name)}" for name, _ in sent.query if name not in known)


def _told(error: Exception) -> str:
    return str(error) if error.__cause__ is None else f"{error} ({error.__cause__})"
