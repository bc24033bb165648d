"""JSON Schema, draft 2020-12, of a message: the JSON that parsing and protovalidate accept.

The law: an instance is valid under the schema exactly when `payload.parse_json` accepts it. Where a rule cannot be
expressed the schema accepts more, never less, and names the rule in `x-patchbay-unmapped-rules` and `unmapped`. The
law speaks of JSON whose numbers are doubles and whose texts are Unicode (RFC 7493), nested at most 30 levels.
"""

import hashlib
import json
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor

from server.contract.comments import Comments
from server.contract.schema_builder import Bundler, Inliner


class Schema:
    """The schema of one message in both forms, derived when first asked for.

    Attributes:
        bundled: With shared definitions under `$defs`.
        inlined: Without `$ref`; recursive messages end at their second level, where any object is accepted.
        unmapped: Rules that the schema does not express, each as `<field>: <rule>`, sorted.
    """

    def __init__(self, descriptor: Descriptor, comments: Comments) -> None:
        self._descriptor = descriptor
        self._comments = comments

    @cached_property
    def bundled(self) -> dict[str, Any]:
        """The bundled form."""
        return self._bundler.document(self._descriptor)

    @cached_property
    def inlined(self) -> dict[str, Any]:
        """The inlined form."""
        return Inliner(self._comments).document(self._descriptor)

    @cached_property
    def bundled_json(self) -> str:
        """The bundled form as JSON text."""
        return _text(self.bundled)

    @cached_property
    def inlined_json(self) -> str:
        """The inlined form as JSON text."""
        return _text(self.inlined)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of `bundled_json`, hexadecimal."""
        return hashlib.sha256(self.bundled_json.encode()).hexdigest()

    @cached_property
    def unmapped(self) -> tuple[str, ...]:
        """Rules that the schema does not express."""
        assert self.bundled  # noqa: S101 - deriving it is what collects the names
        return tuple(sorted(set(self._bundler.unmapped)))

    @cached_property
    def _bundler(self) -> Bundler:
        return Bundler(self._comments)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
