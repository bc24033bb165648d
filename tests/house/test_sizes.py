"""Size budgets: what is too long to be read at once gets cut."""

import ast

from tests.house import tracked

FILE_LINES, FUNCTION_LINES, SHORT, SHARE = 400, 50, 30, 0.98


def _lines(function: tracked.Function) -> int:
    """Lines of a function, its decorators and docstring left out."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        total -= (text.end_lineno or text.lineno) - text.lineno + 1
    return total


def test_no_file_is_longer_than_400_lines() -> None:
    """Every hand-written Python file has at most 400 lines."""
    lengths = {tracked.named(path): len(path.read_text().splitlines()) for path in tracked.python()}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    """Every function has at most 50 lines without its docstring."""
    long = [
        f"{tracked.named(path)}:{one.lineno} {one.name} has {_lines(one)}"
        for path in tracked.python()
        for one in tracked.functions(path)
        if _lines(one) > FUNCTION_LINES
    ]
    assert long == []


def test_nearly_every_function_is_shorter_than_30_lines() -> None:
    """Of all functions 98 in 100 have fewer than 30 lines; the message names the others."""
    lengths = {
        f"{tracked.named(path)}:{one.lineno} {one.name}": _lines(one)
        for path in tracked.python()
        for one in tracked.functions(path)
    }
    longer = sorted((lines, name) for name, lines in lengths.items() if lines >= SHORT)
    share = 1 - len(longer) / len(lengths)
    assert share >= SHARE, "\n".join([f"{share:.1%} are shorter", *(f"{lines} {name}" for lines, name in longer)])


def test_the_measure_leaves_docstrings_out() -> None:
    """A function's length counts its code, not its docstring."""
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').body
    assert isinstance(function, ast.FunctionDef)
    assert _lines(function) == 2
