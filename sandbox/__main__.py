"""`python -m sandbox VENDOR`: run one simulator on loopback until interrupted."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import sandbox
from sandbox.control import Sandbox
from sandbox.serving import bind, configure

_NOT_VENDORS = frozenset({"control"})


def vendors() -> list[str]:
    """Names of the simulated vendors: every package of `sandbox` but the shared control plane."""
    return sorted(m.name for m in iter_modules(sandbox.__path__) if m.ispkg and m.name not in _NOT_VENDORS)


def create(vendor: str, seed: Path | None = None) -> Sandbox:
    """The named vendor with its demo seed, or with the world described in the JSON file `seed`."""
    made: Sandbox = import_module(f"sandbox.{vendor}").create_app(seed=seed)
    return made


def write_port(path: Path, port: int) -> None:
    """Write the port so that a reader sees either no file or the whole number."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(f"{port}\n")
    partial.replace(path)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Simulated vendors on loopback.")
    parser.add_argument("vendor", choices=vendors())
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 (the default) takes a free one")
    parser.add_argument("--port-file", type=Path, help="where the bound port is written")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed-demo", action="store_true", help="start with the demo world (the default)")
    seeds.add_argument("--seed", type=Path, help="start with the world described in this JSON file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    arguments = _arguments(argv)
    server = configure(create(arguments.vendor, arguments.seed))
    with bind(arguments.port) as listening:
        listening.listen(128)
        port = listening.getsockname()[1]
        if arguments.port_file is not None:
            write_port(arguments.port_file, port)
        sys.stdout.write(f"{arguments.vendor} sandbox on http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
