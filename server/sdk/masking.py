"""Removing secrets from texts."""

import re
from collections.abc import Iterable

MASK = "***"
_SHORTEST = 4


class Masker:
    """Replaces every occurrence of known secrets in a text by `***`.

    Secrets shorter than 4 characters are not replaced: they would mangle every text without hiding anything.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= _SHORTEST}
        self._pattern = self._compile()

    def _compile(self) -> re.Pattern[str] | None:
        if not self._secrets:
            return None
        longest_first = sorted(self._secrets, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)))

    def add(self, secrets: Iterable[str]) -> None:
        """Learns further secrets, such as a token that was just obtained."""
        new = {secret for secret in secrets if len(secret) >= _SHORTEST} - self._secrets
        if new:
            self._secrets |= new
            self._pattern = self._compile()

    def __call__(self, text: str) -> str:
        """Returns the text without secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text
