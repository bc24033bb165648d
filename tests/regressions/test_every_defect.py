"""No defect is forgotten."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.regressions.defects import COVERED_ELSEWHERE, DEFECTS, NOT_YET
from tests.support.paths import ROOT

_IDS = re.compile(r"test_((?:[ars]\d+_)+)")
_HERE = Path(__file__).parent


def functions(file: Path) -> Iterator[str]:
    """Names of the test functions of a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def named() -> set[str]:
    """Ids that tests of this folder carry."""
    names = [name for file in _HERE.glob("test_*.py") for name in functions(file)]
    found = [match[1] for name in names if (match := _IDS.match(name))]
    return {id.upper() for ids in found for id in ids.split("_") if id}


def test_every_defect_has_exactly_one_place() -> None:
    """Each id is tested here, is tested elsewhere, or is out of reach for a reason that is given."""
    places = Counter([*named(), *COVERED_ELSEWHERE, *NOT_YET])
    assert {id: places[id] for id in {*DEFECTS, *places} if places[id] != 1 or id not in DEFECTS} == {}
    assert len(DEFECTS) == 16 + 17 + 12


@pytest.mark.parametrize("id", COVERED_ELSEWHERE)
def test_a_test_that_is_named_exists(id: str) -> None:
    """The test elsewhere is where the table says."""
    file, _, name = COVERED_ELSEWHERE[id].partition("::")
    assert name in functions(ROOT / file)


def test_what_is_out_of_reach_is_not_there_yet() -> None:
    """No module has come whose defects are still listed as out of reach."""
    there = {path.name for path in (ROOT / "server" / "modules").iterdir() if path.is_dir()}
    waiting = {"scheduling": "R15", "alerts": "R17"}
    assert [name for name, id in waiting.items() if id in NOT_YET and name in there] == []
