"""Checks the protos without the network: `python scripts/check_contract.py [--against REVISION]`.

buf lint and buf format; then, against the last tag, else the merge base with the main branch of `origin`: buf breaking
and the comparer of our own options. Exits 1 when anything was found.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.generate import write_image  # noqa: E402 - the script runs from anywhere
from server.contract.compare import compare  # noqa: E402

BUF = Path(sys.executable).parent / "buf"
# Their files come with protovalidate and protobuf; they are not ours to judge.
IMPORTED = ["buf", "google"]


def section(name: str) -> dict[str, list[str]]:
    """Returns a section of buf.yaml that consists of lists of words, such as `lint`."""
    found: dict[str, list[str]] = {}
    inside, key = False, ""
    for raw in (ROOT / "buf.yaml").read_text().splitlines():
        line = raw.split("#")[0].rstrip()
        if line and not line.startswith(" "):
            inside = line == f"{name}:"
        elif inside and line.strip().startswith("- "):
            found[key].append(line.strip()[2:])
        elif inside and line:
            key = line.strip().rstrip(":")
            found[key] = []
    return found


def _config(name: str) -> str:
    return json.dumps({"version": "v2", name: {**section(name), "ignore": IMPORTED}})


def _buf(*arguments: str) -> list[str]:
    done = subprocess.run([str(BUF), *arguments], check=False, capture_output=True, text=True, cwd=ROOT)
    output = (done.stdout + done.stderr).strip()
    return [] if done.returncode == 0 and not output else output.splitlines() or [f"exit code {done.returncode}"]


def lint(image: Path) -> list[str]:
    """Returns what buf lint finds."""
    return _buf("lint", str(image), "--config", _config("lint"))


def formatting(folder: Path) -> list[str]:
    """Returns what buf format would change below a folder."""
    return _buf("format", "--diff", "--exit-code", str(folder))


def breaking(image: Path, older: Path) -> list[str]:
    """Returns what buf breaking finds between two images."""
    return _buf("breaking", str(image), "--against", str(older), "--config", _config("breaking"))


def _git(*arguments: str) -> bytes | None:
    done = subprocess.run(["git", *arguments], check=False, capture_output=True, cwd=ROOT)
    return done.stdout if done.returncode == 0 else None


def base_revision() -> str:
    """Returns the revision to compare with: the last tag, else the merge base with origin; empty when there is none."""
    for arguments in (
        ("describe", "--tags", "--abbrev=0"),
        ("merge-base", "HEAD", "origin/HEAD"),
        ("merge-base", "HEAD", "origin/main"),
    ):
        found = _git(*arguments)
        if found and found.strip():
            return found.decode().strip()
    return ""


def write_old_image(revision: str, out: Path) -> bool:
    """Writes the image of the protos at a revision; False when it had none."""
    archive = _git("archive", revision, "proto")
    if not archive:
        return False
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        write_image(out, Path(folder) / "proto")
    return True


def against(revision: str, image: Path) -> Iterator[str]:
    """Yields every breaking change since a revision."""
    with tempfile.TemporaryDirectory() as folder:
        older = Path(folder) / "old.binpb"
        if not write_old_image(revision, older):
            print(f"{revision} has no protos: nothing to compare with")
            return
        yield from (f"buf breaking: {line}" for line in breaking(image, older))
        for finding in compare(older.read_bytes(), image.read_bytes()):
            yield f"contract: {finding.rule}: {finding.subject}: {finding.message}"


def findings(revision: str) -> Iterator[str]:
    """Yields everything that is wrong with the present protos."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        write_image(image, ROOT / "proto")
        yield from (f"buf lint: {line}" for line in lint(image))
        yield from (f"buf format: {line}" for line in formatting(ROOT / "proto"))
        if revision:
            print(f"comparing with {revision}")
            yield from against(revision, image)
        else:
            print("no tag and no origin: nothing to compare with")


def main() -> None:
    """Reads the command line, checks, prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", default="", help="a git revision; default: the last tag or the merge base")
    arguments: Any = parser.parse_args()
    found = list(findings(arguments.against or base_revision()))
    print("\n".join(found) or "the contract is in order")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
