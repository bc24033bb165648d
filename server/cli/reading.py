"""Reading what people and files give: JSON with the place of a mistake, secrets that never stand in arguments."""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.cli.problems import Problem

_WIDEST = 100
_HARMLESS = {"--api-key-file", "--private-network"}
_SECRET_NAME = re.compile(r"api_?key|password|passwd|secret|token|totp|credential|bearer|private", re.IGNORECASE)
_INPUT_BYTES = 8 * 1024 * 1024


def refuse_secret_options(arguments: Sequence[str]) -> None:
    """Refuses options that would put a secret where every process of the machine can read it.

    Raises:
        Problem: There is one. The message has its name, never its value.
    """
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if name.startswith("-") and name not in _HARMLESS and is_secret_name(name.replace("-", "_")):
            raise Problem(
                f"{name} is refused: arguments can be read by every process of this machine. "
                "Give the API key by PATCHBAY_API_KEY or --api-key-file, other secrets at the prompt or as JSON "
                "on standard input (--settings -)."
            )


def is_secret_name(path: str) -> bool:
    """Whether a field's name says that it holds a secret."""
    return bool(_SECRET_NAME.search(path))


def read_json_object(source: str, what: str) -> dict[str, Any]:
    """Reads a JSON object given as text, as `@file`, or as `-` for standard input.

    Raises:
        Problem: There is no such file, it is not JSON (with line, column and caret), or no object.
    """
    text = _text(source, what)
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _misplaced(text, error, what) from None
    except ValueError as error:
        raise Problem(f"{what} is not valid JSON: {error}") from None
    except RecursionError:
        raise Problem(f"{what} is nested too deeply") from None
    if not isinstance(value, dict):
        raise Problem(f"{what} must be a JSON object, such as {{}}, and is {_kind(value)}")
    return value


def _text(source: str, what: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read(_INPUT_BYTES)
        if source.startswith("@"):
            return Path(source[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise Problem(f"{what} cannot be read from {source[1:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"{what} is not UTF-8 text") from None
    return source


def _misplaced(text: str, error: json.JSONDecodeError, what: str) -> Problem:
    line = (text.splitlines() or [""])[error.lineno - 1] if error.lineno <= len(text.splitlines()) else ""
    start = max(0, error.colno - 1 - _WIDEST // 2)
    shown = line[start : start + _WIDEST].replace("\t", " ")
    caret = " " * (error.colno - 1 - start) + "^"
    place = f"line {error.lineno}, column {error.colno}"
    return Problem(f"{what} is not valid JSON at {place}: {error.msg}", detail=f"{shown}\n{caret}")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"the key {key!r} stands twice in one object")
        value[key] = item
    return value


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def read_api_key(file: Path | None) -> str | None:
    """Returns the API key from a file, else from PATCHBAY_API_KEY, else None.

    Raises:
        Problem: The file cannot be read or is empty.
    """
    if file is None:
        return os.environ.get("PATCHBAY_API_KEY", "").strip() or None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"the API key cannot be read from {file}: {getattr(error, 'strerror', error)}") from None
    if not key:
        raise Problem(f"{file} is empty; it should hold an API key")
    return key
