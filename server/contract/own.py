"""The modules whose protos are part of this repository, found through the descriptor set."""

import importlib
from functools import cache
from importlib import resources

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from server.contract.definitions import ModuleDefinition
from server.contract.reader import read_module
from server.gen.patchbay.v1 import options_pb2


def own_files() -> list[FileDescriptor]:
    """Returns the repository's proto files, sorted by name."""
    image = (resources.files("server.gen") / "descriptors.binpb").read_bytes()
    names = sorted(file.name for file in descriptor_pb2.FileDescriptorSet.FromString(image).file)
    return [_generated(name) for name in names if name.startswith("patchbay/")]


def _generated(name: str) -> FileDescriptor:
    path = name.removesuffix(".proto").replace("/", ".")
    descriptor: FileDescriptor = importlib.import_module(f"server.gen.{path}_pb2").DESCRIPTOR
    return descriptor


@cache
def own_modules() -> tuple[ModuleDefinition, ...]:
    """Returns every module of the repository, by group key.

    Raises:
        ContractError: A module's contract has defects.
    """
    services = [service for file in own_files() for service in file.services_by_name.values()]
    declared = [service for service in services if service.GetOptions().HasExtension(options_pb2.module)]
    return tuple(sorted((read_module(service) for service in declared), key=lambda module: module.group_key))
