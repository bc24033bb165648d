"""Text from elsewhere that PostgreSQL can hold."""


def storable(text: str) -> str:
    """Returns a text without what PostgreSQL refuses: zero bytes and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
