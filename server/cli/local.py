"""`demo` and `up`: all of Patchbay on this machine, with simulated vendors."""

import asyncio
import shlex
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from server.cli.demo import FIND, Demo
from server.cli.environment import DEFAULT_SERVER, Environment, command
from server.cli.output import Output
from server.cli.staging import TENANT, Stage, staged


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    command(app, "demo")(demo)
    command(app, "up")(up)


def demo(environment: Environment) -> None:
    """Shows the main job on this machine: connect, catalog, find, run, replay, fail, write to a person.

    Starts its own database, server and simulated vendors on free loopback ports, in a temporary folder, and leaves
    nothing behind. Ends with 1 when anything is not as it has to be.
    """
    output = environment.output
    with _folder(None) as folder:
        asyncio.run(_play(folder, output))


async def _play(folder: Path, output: Output) -> None:
    output.notice("starting database, server and simulated vendors")
    async with staged(folder, "127.0.0.1:0") as stage:
        played = Demo(stage, output)
        await played.play()
    output.answer(played.told, lambda: output.line("Done: every step was as it has to be.", style="green"))


def up(
    environment: Environment,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Port 0: a free one.")] = DEFAULT_SERVER,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="FOLDER", help="Keeps the data. Default: a temporary folder.")
    ] = None,
) -> None:
    """Starts what the demo uses, prints how to call it, and stays until Ctrl-C."""
    with _folder(data_dir) as folder:
        asyncio.run(_stay(folder, listen, environment.output))


async def _stay(folder: Path, listen: str, output: Output) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told_to_stop.set)
    output.notice("starting database, server and simulated vendors")
    async with staged(folder, listen) as stage:
        key = await asyncio.to_thread(stage.key_file.read_text, encoding="utf-8")
        facts = {
            "server": stage.target,
            "tenant": TENANT,
            "vendors": {name: vendor.url for name, vendor in stage.vendors.items()},
        }
        output.answer(
            facts | {"api_key": key.strip(), "api_key_file": str(stage.key_file)},
            lambda: _show_calls(output, stage, key.strip()),
        )
        await told_to_stop.wait()
    output.notice("stopped")


def _show_calls(output: Output, stage: Stage, key: str) -> None:
    file, target = shlex.quote(str(stage.key_file)), stage.target
    output.line(f"Patchbay listens on {target} for tenant {TENANT}.", style="bold")
    output.line(f"Calendar feeds: http://{stage.http_target}, with the path that `patchbay feeds create` tells")
    for provider, vendor in stage.vendors.items():
        output.line(f"Simulated {provider}: {vendor.url}")
    output.line(f"API key, for everything: {key}")
    for title, call in (
        ("Command line", f"patchbay execute {FIND} --server {target} --tenant {TENANT} --api-key-file {file}"),
        ("grpcurl", _GRPCURL.format(file=file, tenant=TENANT, action=FIND, target=target)),
        ("Python", _PYTHON.format(file=stage.key_file, tenant=TENANT, action=FIND, target=target)),
    ):
        output.line(f"\n{title}", style="bold")
        output.line(call)
    output.line("\nCtrl-C stops it.")


_GRPCURL = """\
PATCHBAY_API_KEY="$(cat {file})" grpcurl -plaintext -expand-headers \\
  -H 'authorization: Bearer ${{PATCHBAY_API_KEY}}' \\
  -d '{{"tenant": "{tenant}", "action": "{action}"}}' \\
  {target} patchbay.v1.ActionExecutor/ExecuteAction"""

_PYTHON = """\
from pathlib import Path
from patchbay_client import Patchbay

with Patchbay("{target}", api_key=Path("{file}").read_text(), tenant="{tenant}") as patchbay:
    print(patchbay.execute("{action}").output)"""


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="patchbay-") as temporary:
            yield Path(temporary)
    else:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield wanted.resolve()
