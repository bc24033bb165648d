"""Text from elsewhere that PostgreSQL can hold."""

from typing import Any
from uuid import UUID


def storable(text: str) -> str:
    """Returns a text without what PostgreSQL refuses: zero bytes and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def uuid_of(text: str) -> UUID | None:
    """Returns the UUID that a text is; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None


def storable_json(value: Any) -> Any:
    """Returns a JSON value whose texts, names included, PostgreSQL can hold."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): storable_json(item) for name, item in value.items()}
    return [storable_json(item) for item in value] if isinstance(value, list | tuple) else value
