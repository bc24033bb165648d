"""Asking a person for a connection's settings, by their JSON Schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getpass
from typing import Any

from server.cli.output import Output

_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One setting.

    Attributes:
        path: Its place, such as `login.password`.
        label: Its name for people.
        description: Its meaning.
        secret: Whether it must not be shown.
        needed: Whether it cannot be left out.
        text: Whether it is a text, the only kind that is asked for.
    """

    path: str
    label: str
    description: str
    secret: bool
    needed: bool
    text: bool


def questions(schema: dict[str, Any], prefix: str = "", *, needed: bool = True) -> list[Question]:
    """Returns the settings that a schema describes, those of nested objects with their path."""
    return list(_questions(schema, prefix, needed, 0))


def _questions(schema: dict[str, Any], prefix: str, needed: bool, depth: int) -> Iterator[Question]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if not isinstance(field, dict):
            continue
        wanted = needed and name in required
        if "properties" in field and depth < _DEEPEST:
            yield from _questions(field, f"{prefix}{name}.", wanted, depth + 1)
        else:
            yield _question(f"{prefix}{name}", field, wanted)


def _question(path: str, field: dict[str, Any], needed: bool) -> Question:
    kinds = field.get("type")
    text = kinds == "string" or (isinstance(kinds, list) and "string" in kinds)
    return Question(
        path=path,
        label=str(field.get("title") or path),
        description=str(field.get("description") or ""),
        secret=bool(field.get("writeOnly")),
        needed=needed,
        text=text and "enum" not in field,
    )


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets a value at a dotted path, making the objects on the way."""
    *outer, last = path.split(".")
    for name in outer:
        inner = values.get(name)
        values = inner if isinstance(inner, dict) else values.setdefault(name, {})
    values[last] = value


def present(values: dict[str, Any], path: str) -> bool:
    """Whether there is a value at a dotted path."""
    here: Any = values
    for name in path.split("."):
        if not isinstance(here, dict) or name not in here:
            return False
        here = here[name]
    return True


def ask(output: Output, asked: list[Question], values: dict[str, Any]) -> None:
    """Asks for what is needed or secret and not there yet; an empty answer leaves a setting out.

    Settings that stand in a group with a secret, such as the user name beside a password, are asked for too.
    """
    groups = {question.path.rpartition(".")[0] for question in asked if question.secret and "." in question.path}
    output.notice("leave empty what does not apply")
    for question in asked:
        beside = question.path.rpartition(".")[0] in groups
        if not question.text or present(values, question.path):
            continue
        if question.needed or question.secret or beside:
            answer = _answer(question)
            if answer:
                put(values, question.path, answer)


def _answer(question: Question) -> str:
    prompt = f"{question.label} ({question.path}): "
    return getpass(prompt) if question.secret else input(prompt).strip()
