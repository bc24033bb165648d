"""JSON Schema of a message."""

from functools import cached_property

from google.protobuf.descriptor import Descriptor

from server.contract.comments import Comments


class Schema:
    """The schema of one message, derived when first asked for.

    Attributes:
        hash: SHA-256 of `bundled_json`, hexadecimal.
        bundled_json: With shared definitions under `$defs`.
        inlined_json: Without `$ref`.
        unmapped: Rules that the schema cannot express.
    """

    def __init__(self, descriptor: Descriptor, comments: Comments) -> None:
        self._descriptor = descriptor
        self._comments = comments

    @cached_property
    def bundled_json(self) -> str:
        """The bundled form, as JSON text."""
        raise NotImplementedError

    @cached_property
    def inlined_json(self) -> str:
        """The inlined form, as JSON text."""
        raise NotImplementedError

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the bundled form, hexadecimal."""
        raise NotImplementedError

    @cached_property
    def unmapped(self) -> tuple[str, ...]:
        """Names of the rules that the schema cannot express."""
        raise NotImplementedError
