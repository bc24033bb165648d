"""Writes `constraints.txt`: the exact version of everything that is installed, without addresses."""

import re
from importlib.metadata import distributions
from pathlib import Path

OURS = {"patchbay", "patchbay-client", "pip", "setuptools", "wheel"}
HEADER = "# Versions that are tested together. Written by `make constraints`.\n"


def main() -> None:
    """Writes the file."""
    found = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in distributions()}
    lines = sorted(f"{name}=={version}\n" for name, version in found.items() if name not in OURS)
    Path("constraints.txt").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
