"""What every test must have, and what every promise must have."""

import ast
import re

import pytest

from tests.house import tracked

RULES = range(1, 19)


def test_every_test_states_its_fact() -> None:
    """Every test function has a docstring whose first line is the whole fact; hints may follow after an empty line."""
    missing = []
    for path, one in tracked.tests():
        fact, _, hints = (ast.get_docstring(one) or "").partition("\n")
        if not fact.endswith(".") or (hints and not hints.startswith("\n")):
            missing.append(f"{tracked.named(path)}:{one.lineno} {one.name}")
    assert missing == []


def test_every_test_can_fail() -> None:
    """Every test asserts, expects an exception, waits for a fact under a time limit, or calls a function that does."""
    judges = _judges()
    idle = [
        f"{tracked.named(path)}:{one.lineno} {one.name}" for path, one in tracked.tests() if not _judged(one, judges)
    ]
    assert idle == []


def _judges() -> set[str]:
    """Names of the functions of tests and of the conformance suite that can fail a test, directly or through others."""
    homes = {"tests", "conformance"}
    helpers = [one for path in tracked.python() if homes & set(path.parts) for one in tracked.functions(path)]
    judges = {"raises", "fail", "timeout"}
    while more := {one.name for one in helpers if one.name not in judges and _judged(one, judges)}:
        judges |= more
    return judges


def _judged(function: tracked.Function, judges: set[str]) -> bool:
    return any(
        isinstance(node, ast.Assert | ast.Raise) or (isinstance(node, ast.Call) and _called(node) in judges)
        for node in ast.walk(function)
    )


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_no_test_is_hidden_by_another() -> None:
    """No two tests of one file have the same name: the second would replace the first."""
    hidden = []
    seen = set()
    for path, one in tracked.tests():
        key = (path, one.name)
        if key in seen and one in tracked.parsed(path).body:
            hidden.append(f"{tracked.named(path)}:{one.lineno} {one.name}")
        seen.add(key)
    assert hidden == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_execution_is_proved(rule: int) -> None:
    """Each of the 18 rules of docs/architecture.md is named by a test that proves it."""
    name = re.compile(rf"(^|_)rule_{rule}(_|$)")
    assert [one.name for _, one in tracked.tests() if name.search(one.name)]
