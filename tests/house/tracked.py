"""The files of this repository, and what is in them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

from tests.support.paths import ROOT

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[Path, ...]:
    """Returns every tracked file that exists, generated code included."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [ROOT / name for name in listed.split("\0") if name]
    return tuple(path for path in found if path.is_file())


def named(path: Path) -> str:
    """Returns a file's name for messages."""
    return str(path.relative_to(ROOT))


def is_generated(path: Path) -> bool:
    """Says whether a program wrote the file."""
    return "gen" in path.relative_to(ROOT).parts


def python() -> list[Path]:
    """Returns the Python files that people wrote."""
    return [path for path in files() if path.suffix == ".py" and not is_generated(path)]


@cache
def parsed(path: Path) -> ast.Module:
    """Returns a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    """Yields every function of a file, methods and inner ones included."""
    yield from (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def tests() -> Iterator[tuple[Path, Function]]:
    """Yields every test function, those of the conformance suite included."""
    for path in python():
        if path.name.startswith("test_") or path.name.endswith("_cases.py"):
            yield from ((path, one) for one in functions(path) if one.name.startswith("test_"))


def texts() -> Iterator[tuple[Path, str]]:
    """Yields every text file with its content."""
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8")
