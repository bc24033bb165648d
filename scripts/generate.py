"""Writes every generated file from the protos: `python scripts/generate.py [--into FOLDER]`.

Server code goes to `server/gen`, the Python client's messages to `clients/python/patchbay_client/gen`, code of the
torture proto to `tests/gen`, the page of failure reasons to `docs/failures.md`. With `--into` the same tree is written
below another folder, for comparison.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from server import validate_descriptor  # noqa: E402 - the script runs from anywhere

SERVER_GEN = Path("server/gen")
CLIENT_GEN = Path("clients/python/patchbay_client/gen")
TESTS_GEN = Path("tests/gen")
OUTPUTS = (SERVER_GEN, CLIENT_GEN, TESTS_GEN)

_ABSOLUTE = re.compile(r"^(from|import) ((?:patchbay|torture)[\w.]*)", re.MULTILINE)
_VALIDATE = re.compile(r"^from buf\.validate import validate_pb2", re.MULTILINE)
_VALIDATE_STUB = re.compile(r"^(from buf\.validate import validate_pb2.*|import buf\.validate.*)$\n?", re.MULTILINE)


def protos(folder: Path) -> list[str]:
    """Returns the proto files below a folder, relative to it, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.proto"))


def protoc(include: Iterable[Path], files: Iterable[str], *arguments: str) -> None:
    """Runs protoc of grpcio-tools with validate.proto taken from the protovalidate package."""
    wellknown = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch) / "validate.binpb"
        descriptors.write_bytes(_validate_with_imports(Path(str(wellknown))))
        paths = [f"--proto_path={path}" for path in [*include, wellknown]]
        _run_protoc([f"--descriptor_set_in={descriptors}", *paths, *arguments, *files])


def _run_protoc(arguments: list[str]) -> None:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # plugins call ruff by name
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    done = subprocess.run(command, check=False, env={**os.environ, "PATH": tools}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def _plugin(name: str) -> str:
    return f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"


def _validate_with_imports(wellknown: Path) -> bytes:
    """Returns a FileDescriptorSet of validate.proto and every well-known file."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        files = [str(path.relative_to(wellknown)) for path in sorted(wellknown.glob("google/protobuf/*.proto"))]
        _run_protoc([f"--proto_path={wellknown}", f"--descriptor_set_out={out.name}", "--include_source_info", *files])
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_descriptor.serialized_file())
    validate.source_code_info.SetInParent()  # betterproto2's compiler wants it on every file
    descriptors.file.append(validate)
    return descriptors.SerializeToString(deterministic=True)


def write_image(out: Path, include: Path) -> None:
    """Writes the descriptor set of all protos below `include`, with comments and imports."""
    protoc(
        [include],
        protos(include),
        f"--descriptor_set_out={out}",
        "--include_imports",
        "--include_source_info",
    )


def _generate_python(include: list[Path], folder: Path, out: Path, package: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    protoc(include, protos(folder), _plugin("mypy"), f"--python_out={out}", f"--mypy_out=quiet:{out}")
    for path in sorted(out.rglob("*_pb2.py*")):
        text = path.read_text()
        text = (
            _VALIDATE_STUB.sub("", text)
            if path.suffix == ".pyi"
            else _VALIDATE.sub("from server import validate_descriptor", text)
        )
        path.write_text(_ABSOLUTE.sub(lambda found: _absolute(found, package), text))
    for directory in {path.parent for path in out.rglob("*_pb2.py")}:
        for parent in [directory, *directory.parents]:
            if parent == out.parent:
                break
            (parent / "__init__.py").write_text('"""Generated code."""\n')


def _absolute(found: re.Match[str], package: str) -> str:
    home = "server.gen" if found[2].startswith("patchbay") else package
    return f"{found[1]} {home}.{found[2]}"


def _generate_client(out: Path) -> None:
    """Writes dataclass messages from descriptors without options, so that no option's own types come along."""
    out.mkdir(parents=True, exist_ok=True)
    files = [name for name in protos(ROOT / "proto") if name.startswith("patchbay/v1/") and "options" not in name]
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        write_image(image, ROOT / "proto")
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
        for file in descriptors.file:
            _strip(file)
        image.write_bytes(descriptors.SerializeToString(deterministic=True))
        plugin = [_plugin("python_betterproto2"), "--python_betterproto2_opt=client_generation=none"]
        _run_protoc([f"--descriptor_set_in={image}", *plugin, f"--python_betterproto2_out={out}", *files])


def _strip(message: Message) -> None:
    """Removes options, extensions and the imports that only they need, at every depth."""
    if isinstance(message, descriptor_pb2.FileDescriptorProto):
        unused = {"buf/validate/validate.proto", "google/protobuf/descriptor.proto"}
        message.dependency[:] = [name for name in message.dependency if name not in unused]
        del message.extension[:]
    for field, value in message.ListFields():
        if field.name == "options":
            message.ClearField("options")
        elif field.message_type and field.is_repeated and field.name != "location":
            for item in value:
                _strip(item)


def generate(target: Path) -> None:
    """Writes the three generated folders below `target`, replacing what is there."""
    for output in OUTPUTS:
        shutil.rmtree(target / output, ignore_errors=True)
    proto, torture = ROOT / "proto", ROOT / "tests" / "proto"
    _generate_python([proto], proto, target / SERVER_GEN, "server.gen")
    write_image(target / SERVER_GEN / "descriptors.binpb", proto)
    if torture.exists():
        _generate_python([proto, torture], torture, target / TESTS_GEN, "tests.gen")
        image = f"--descriptor_set_out={target / TESTS_GEN / 'descriptors.binpb'}"
        protoc([proto, torture], protos(torture), image, "--include_imports", "--include_source_info")
    _generate_client(target / CLIENT_GEN)


def main() -> None:
    """Reads the command line and generates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT)
    target = parser.parse_args().into
    generate(target)
    # In a process of its own, since this one may have imported what has just been replaced.
    documents = [sys.executable, str(ROOT / "scripts" / "documents.py"), "--into", str(target)]
    subprocess.run(documents, check=True)


if __name__ == "__main__":
    main()
