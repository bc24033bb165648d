"""Writes what is derived from the contract for people: `python scripts/documents.py [--golden] [--into FOLDER]`.

Always `docs/failures.md`; with `--golden` also the golden catalogs in `tests/contract/golden`, whose changes a review
looks at.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from server.contract.comments import own_comments  # noqa: E402 - the script runs from anywhere
from server.contract.failures_page import failures_page  # noqa: E402
from server.contract.golden import golden  # noqa: E402
from server.contract.own import own_modules  # noqa: E402

FAILURES = Path("docs/failures.md")
GOLDEN = Path("tests/contract/golden")


def write_failures(target: Path) -> None:
    """Writes the page of failure reasons below a folder."""
    (target / FAILURES).parent.mkdir(parents=True, exist_ok=True)
    (target / FAILURES).write_text(failures_page(own_modules(), own_comments()))


def write_golden(target: Path) -> None:
    """Writes one golden catalog for each module below a folder, and removes those of modules that are gone."""
    folder = target / GOLDEN
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        path.unlink()
    for module in own_modules():
        (folder / f"{module.provider}.json").write_text(golden(module))


def main() -> None:
    """Reads the command line and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--into", type=Path, default=ROOT)
    arguments = parser.parse_args()
    write_failures(arguments.into)
    if arguments.golden:
        write_golden(arguments.into)


if __name__ == "__main__":
    main()
