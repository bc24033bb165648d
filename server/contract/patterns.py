"""Regular expressions of rules (RE2) as JSON Schema has them (ECMA-262, Unicode mode).

What means the same in both is written the same; what differs is rewritten where that is exact, else refused. Sources:
github.com/google/re2/wiki/Syntax, ECMA-262 section 22.2.
"""

import re
from typing import Final

_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")
_SETS: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": r"!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-\/:-@\[-`\{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_COUNT: Final = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")
_POSIX_CLASS: Final = re.compile(r"\[:([a-z]+):\]")
_HEX: Final = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")
_GROUP: Final = re.compile(r"\((?:\?(?::|P?<[A-Za-z_][A-Za-z0-9_]*>))?(?!\?)")
_PLAIN_IN_CLASS: Final = frozenset({r"\.", r"\+", r"\*", r"\?", r"\$", r"\/"})
_CONTROL: Final = frozenset("tnrfv")


class NotPortable(ValueError):
    """The pattern means something else, or nothing, in ECMA-262."""


def literal(text: str) -> str:
    """Returns a pattern that matches exactly this text."""
    return "".join(f"\\{letter}" if letter in _SYNTAX else letter for letter in text)


def portable(pattern: str) -> str:
    """Returns the pattern in the common dialect.

    Raises:
        NotPortable: It uses flags, Unicode classes or escapes that ECMA-262 does not have or reads otherwise.
    """
    return _Translation(pattern).whole()


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def whole(self) -> str:
        parts: list[str] = []
        while self._at < len(self._pattern):
            parts.append(self._token())
        return "".join(parts)

    def _token(self) -> str:
        letter = self._pattern[self._at]
        if letter == "\\":
            return self._escape()
        if letter == "[":
            return self._class()
        if letter == "(":
            return self._group()
        if letter == "{":
            return self._take(_COUNT) or self._next(r"\{")
        if letter == ".":
            return self._next(r"[^\n]")
        return self._next(f"\\{letter}" if letter in "]}" else letter)

    def _next(self, written: str) -> str:
        self._at += 1
        return written

    def _take(self, expression: re.Pattern[str]) -> str:
        found = expression.match(self._pattern, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _group(self) -> str:
        taken = self._take(_GROUP)
        if not taken:
            raise NotPortable("flags and look-around differ")
        return "(?:" if taken.startswith("(?") else taken

    def _escape(self) -> str:
        letter = self._escaped()
        if letter in "dwsDWS":
            return f"[{'^' if letter.isupper() else ''}{_SETS[letter.lower()]}]"
        if letter in "bB":
            return f"\\{letter}"
        if letter in "Az":
            return "^" if letter == "A" else "$"
        return self._character(letter)

    def _escaped(self) -> str:
        if self._at + 1 >= len(self._pattern):
            raise NotPortable("the pattern ends with a backslash")
        self._at += 2
        return self._pattern[self._at - 1]

    def _character(self, letter: str) -> str:
        """Returns an escaped single character, valid inside and outside of classes."""
        if letter in _CONTROL:
            return f"\\{letter}"
        if letter == "a":
            return r"\x07"
        if letter == "x":
            self._at -= 1
            found = _HEX.match(self._pattern, self._at)
            if found is None:
                raise NotPortable("malformed hexadecimal escape")
            self._at = found.end()
            return _quoted(chr(int(found[1] or found[2], 16)))
        if letter.isalnum() or not letter.isascii():
            raise NotPortable(f"\\{letter} differs")
        return _quoted(letter)

    def _class(self) -> str:
        self._at += 1
        opening = "[^" if self._pattern.startswith("^", self._at) else "["
        self._at += len(opening) - 1
        parts: list[str] = []
        while not (self._pattern.startswith("]", self._at) and parts):
            parts.append(self._class_item())
        self._at += 1
        return f"{opening}{''.join(parts)}]"

    def _class_item(self) -> str:
        posix = _POSIX_CLASS.match(self._pattern, self._at)
        if posix:
            self._at = posix.end()
            if posix[1] not in _POSIX:
                raise NotPortable(f"[:{posix[1]}:] is not known")
            return _POSIX[posix[1]]
        if self._pattern.startswith("[:^", self._at):
            raise NotPortable("negated class names differ")
        first = self._class_character()
        rest = self._pattern[self._at : self._at + 2]
        if len(first) <= 4 and rest.startswith("-") and rest not in ("-]", "-"):
            self._at += 1
            return f"{first}-{self._class_character()}"
        return first

    def _class_character(self) -> str:
        if self._at >= len(self._pattern):
            raise NotPortable("the class is not closed")
        letter = self._pattern[self._at]
        if letter != "\\":
            return self._next(_in_class(_quoted(letter)))
        letter = self._escaped()
        if letter in _SETS:
            return _SETS[letter]
        if letter in "DWSbBAz":
            raise NotPortable(f"\\{letter} inside a class differs")
        return _in_class(self._character(letter))


def _quoted(letter: str) -> str:
    """Returns one character so that it stands for itself, inside and outside of classes."""
    if letter in _SYNTAX:
        return f"\\{letter}"
    if letter == "\n":
        return r"\n"
    return f"\\x{ord(letter):02x}" if ord(letter) < 32 else letter


def _in_class(written: str) -> str:
    if written == "-":
        return r"\-"
    if written in _PLAIN_IN_CLASS:
        return written[1]
    # As numbers: Python warns of doubled ones, which other dialects read as set operations, and Unicode mode
    # does not let them be escaped.
    return f"\\x{ord(written):02x}" if written in "&~" else written
