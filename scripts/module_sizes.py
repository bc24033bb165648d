"""Prints what each module costs: lines an action, proto included, tests and generated code aside.

Code lines are those that are neither blank nor comment nor docstring; comments of a proto are what designers read.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
GOAL = 60


@dataclass(frozen=True, slots=True)
class Size:
    """Lines of some files, and how many of them are code."""

    lines: int = 0
    code: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.lines + other.lines, self.code + other.code)


def of_proto(text: str) -> Size:
    """Returns the size of a proto file."""
    lines = text.splitlines()
    return Size(len(lines), sum(1 for line in lines if line.strip() and not line.lstrip().startswith("//")))


def of_python(text: str) -> Size:
    """Returns the size of a Python file."""
    prose = {number for node in ast.walk(ast.parse(text)) for number in _docstring(node)}
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            code.update(range(token.start[0], token.end[0] + 1))
    return Size(len(text.splitlines()), len(code - prose))


def _docstring(node: ast.AST) -> Iterator[int]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def measured() -> Iterator[tuple[str, int, Size, Size]]:
    """Yields each module that has actions: provider, number of actions, size of its proto, of its code."""
    for folder in sorted((ROOT / "proto/patchbay/modules").iterdir()):
        protos = [path.read_text() for path in folder.rglob("*.proto")]
        actions = sum(text.count("option (patchbay.v1.action).id = ") for text in protos)
        if not actions:
            continue
        code = [of_python(path.read_text()) for path in (ROOT / "server/modules" / folder.name).rglob("*.py")]
        yield folder.name, actions, sum(map(of_proto, protos), Size()), sum(code, Size())


def main() -> None:
    """Prints the table."""
    print(f"{'module':<14}{'actions':>8}{'proto':>8}{'python':>8}{'lines/action':>14}{'code/action':>13}  goal {GOAL}")
    for name, actions, proto, code in measured():
        whole = proto + code
        met = "met" if whole.lines <= GOAL * actions else "met in code" if whole.code <= GOAL * actions else "not met"
        print(
            f"{name:<14}{actions:>8}{proto.lines:>8}{code.lines:>8}"
            f"{whole.lines / actions:>14.0f}{whole.code / actions:>13.0f}  {met}"
        )


if __name__ == "__main__":
    main()
