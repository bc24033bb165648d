"""The command tree, and how a command ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version as installed
from typing import Annotated, Any, cast

import typer
from patchbay_client import PatchbayError

from server.cli import (
    actions,
    board,
    connections,
    directory,
    dispatching,
    executions,
    identity,
    local,
    operating,
    teams,
)
from server.cli.environment import Given, with_shared_options
from server.cli.exits import ExitCode, code_for, help_text
from server.cli.explaining import explained
from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.reading import refuse_secret_options
from server.errors import PatchbayError as ServerError

UsageError = cast("type[Exception]", typer.BadParameter.__bases__[0])
"""What typer raises for wrong usage; it gives the class no public name."""

app = typer.Typer(
    name="patchbay",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for part in (local, operating, actions, board):
    part.add_to(app)
app.add_typer(executions.app, name="executions")
app.add_typer(connections.app, name="connections")
app.add_typer(directory.app, name="directory")
app.add_typer(board.feeds, name="feeds")
app.add_typer(dispatching.app, name="dispatch")
app.add_typer(identity.keys, name="keys")
app.add_typer(identity.tenants, name="tenants")
app.add_typer(operating.secrets, name="secrets")
app.add_typer(teams.app, name="teams")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(installed("patchbay"))
        raise typer.Exit


def _root(
    _given: Given,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """IT tools as typed, idempotent, tenant-scoped workflow actions.

    `patchbay demo` shows all of it on this machine; `patchbay up` is the same and stays. The options below may also
    stand after a command's name.
    """
    del version


app.callback(help=_root.__doc__, epilog=help_text())(with_shared_options(_root, like=_root))


def run(arguments: Sequence[str]) -> int:
    """Runs a command line and returns its exit code; see `server.cli.exits`."""
    output = Output(machine="--json" in arguments)
    try:
        refuse_secret_options(arguments)
        ended = app(args=list(arguments), prog_name="patchbay", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        output.error("interrupted", {"exit_code": int(ExitCode.INTERRUPTED)})
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has what it wanted
        return ExitCode.OK
    except (Problem, PatchbayError, ServerError, UsageError, OSError) as error:  # OSError: the port is taken
        code, facts, detail = _told(error)
        output.error(_text(error), {"exit_code": int(code), **facts}, detail)
        return code
    except Exception as defect:
        if not output.machine:
            raise
        facts = {"exit_code": int(ExitCode.ACTION_FAILED), "kind": type(defect).__name__}
        output.error("a defect of this program", facts, traceback.format_exc())
        return ExitCode.ACTION_FAILED
    if ended == ExitCode.INTERRUPTED:
        output.error("interrupted", {"exit_code": int(ExitCode.INTERRUPTED)})
    return ended if isinstance(ended, int) else ExitCode.OK


def _told(error: Exception) -> tuple[ExitCode, dict[str, Any], str]:
    """Returns the exit code of an error, its facts, and lines to show below its message."""
    if isinstance(error, Problem):
        return error.code, {}, error.detail
    if isinstance(error, PatchbayError):
        return code_for(error), explained(error), ""
    if isinstance(error, ServerError):
        return ExitCode.SERVER_UNAVAILABLE, {}, ""
    context = getattr(error, "ctx", None)  # of wrong usage
    return ExitCode.BAD_INPUT, {}, context.get_usage() if context is not None else ""


def _text(error: Exception) -> str:
    text: str = getattr(error, "format_message", error.__str__)()
    return text
