"""Compiles the proto: `python generate.py [--into FOLDER]`.

`patchbay/v1/options.proto` and `buf/validate/validate.proto` come out of the descriptor set that the installed server
carries, so nothing has to be copied or downloaded.
"""

import argparse
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE / "proto"
PACKAGE = "patchbay_statusboard"

# Where the generated code finds what the server has generated already, and its own.
_MOVED = (
    (re.compile(r"^from buf\.validate import validate_pb2", re.MULTILINE), "from server import validate_descriptor"),
    (re.compile(r"^from patchbay\.", re.MULTILINE), "from server.gen.patchbay."),
    (re.compile(r"^from statusboard\.", re.MULTILINE), f"from {PACKAGE}.gen.statusboard."),
)


def generate(into: Path) -> None:
    """Writes `<into>/patchbay_statusboard/gen`: messages, their types, and a descriptor set with the comments."""
    out = into / PACKAGE / "gen"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    with resources.as_file(resources.files("server.gen") / "descriptors.binpb") as known:
        _protoc(
            f"--descriptor_set_in={known}",
            f"--proto_path={PROTO}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            f"--descriptor_set_out={out / 'descriptors.binpb'}",
            "--include_source_info",
            *files,
        )
    for path in out.rglob("*_pb2.py*"):
        _move_imports(path)
    for folder in {parent for path in out.rglob("*_pb2.py") for parent in path.parents if parent.is_relative_to(out)}:
        (folder / "__init__.py").write_text('"""Generated code."""\n')


def _protoc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)


def _move_imports(path: Path) -> None:
    text = path.read_text()
    for pattern, replacement in _MOVED:
        text = pattern.sub(replacement, text)
    path.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=HERE)
    generate(parser.parse_args().into)
