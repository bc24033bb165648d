"""A JSON Schema validator whose patterns mean what ECMA-262 says, which is what JSON Schema prescribes.

Python's own dialect differs in one thing that the schemas use: its `$` also matches before a last line feed.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$|.", re.DOTALL)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Returns the ECMA-262 pattern for Python."""
    return re.compile(_TOKEN.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern), re.ASCII)


def _pattern(
    _validator: Validator, pattern: str, instance: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not compiled(pattern).search(instance):
        yield jsonschema.ValidationError("does not match the pattern")


_extend: Any = jsonschema.validators.extend
EcmaValidator: Any = _extend(jsonschema.Draft202012Validator, {"pattern": _pattern})
