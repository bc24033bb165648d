"""The suite finds what is wrong: defects are planted in the sample module, and exactly the cases for them fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SAMPLE = ROOT / "examples" / "sample_module"
LIST, OPEN = "statusboard.components.list", "statusboard.incidents.open"
FILE = """
from pathlib import Path

import vendor
from server.conformance.bench import Bench
from server.conformance.suite import Conformance
from test_conformance import settings
from tests.conformance import broken


class TestBroken(Conformance):
    bench = Bench(provider="statusboard", vendor=vendor.create_app, settings=settings, register=broken.{register})
    golden = Path(__file__).with_name("catalog.json")
"""
SELECTED = "in_doubt or refused_write or in_trouble or fails_closed or never_show or do_not_meet or reviewed"
FAILING = {
    "liar": {
        *(f"a_write_in_doubt[{OPEN}-{trouble}]" for trouble in ("500", "502", "reset-before")),
        *(f"a_read_in_trouble[{LIST}-{status}]" for status in ("401", "403", "429", "429-retry-after", "500", "502")),
        *(
            f"a_read_in_trouble[{LIST}-{trouble}]"
            for trouble in ("reset-before", "reset-after", "garbage", "huge", "cut")
        ),
        "the_catalog_is_the_reviewed_one",
    },
    "repeater": {
        *(
            f"a_write_in_doubt[{OPEN}-{trouble}]"
            for trouble in ("500", "502", "reset-before", "reset-after", "garbage", "huge", "cut")
        ),
        *(f"availability_fails_closed[{state}]" for state in ("no-row", "inactive", "never-accepted")),
        f"secrets_of_the_connection_never_show[{OPEN}]",
        "the_catalog_is_the_reviewed_one",
    },
    "denier": {
        *(f"a_write_in_doubt[{OPEN}-{trouble}]" for trouble in ("reset-after", "garbage", "huge", "cut")),
        f"a_refused_write[{OPEN}-409]",
        "two_tenants_do_not_meet",
        "the_catalog_is_the_reviewed_one",
    },
}


def run(folder: Path, register: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Runs the suite for the sample module as a function of `broken` registers it."""
    (folder / "test_broken.py").write_text(FILE.format(register=register))
    (folder / "catalog.json").write_text("{}\n")
    paths = [str(path) for path in (ROOT, SAMPLE, SAMPLE / "tests")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *options, "."],
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=170,
    )


@pytest.mark.parametrize("defect", FAILING)
def test_planted_defects_are_found(defect: str, tmp_path: Path) -> None:
    """A module that lies, repeats, denies, leaks or mixes tenants fails the cases for that, and no others."""
    done = run(tmp_path, defect, "-k", SELECTED)
    failing = set(re.findall(r"^FAILED \S+::test_(\S+)", done.stdout, re.MULTILINE))
    assert failing == FAILING[defect], done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("processes", [0, 2])
def test_the_time_of_a_module_is_told(processes: int, tmp_path: Path) -> None:
    """With `--durations` the run ends with the module's seconds, also where its cases ran in other processes."""
    options = ("-k", "reviewed", "-p", "server.conformance.times", "-n", str(processes), "--durations=1")
    done = run(tmp_path, "liar", *options)
    assert re.search(r"^=+ conformance =+\n+statusboard: \d+\.\d s$", done.stdout, re.MULTILINE), done.stdout
