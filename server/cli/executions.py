"""`executions list|show|resolve|cancel`."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from patchbay_client import Execution, to_json
from patchbay_client.execution import State

from server.cli.environment import Environment, command
from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.reading import read_json_object

app = typer.Typer(help="What was executed.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the execution.")]


class StateName(StrEnum):
    """States to filter by."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class VerdictName(StrEnum):
    """What a person found."""

    SUCCEEDED = "succeeded"
    NOTHING_HAPPENED = "nothing-happened"
    SOMETHING_HAPPENED = "something-happened"


def list_executions(
    environment: Environment,
    action: Annotated[str, typer.Option("--action", help="Only this action.")] = "",
    state: Annotated[StateName | None, typer.Option("--state", help="Only this state.")] = None,
    run: Annotated[str, typer.Option("--run", help="Only this workflow run.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows of a page.")] = 50,
    page: Annotated[str, typer.Option("--page", help="Page to show, as named by the one before.")] = "",
) -> None:
    """Lists executions, newest first."""
    wanted = State.from_string(state.name) if state else State.UNSPECIFIED
    found = environment.client().executions.list(action=action, state=wanted, run=run, page_size=limit, page_token=page)
    shown = [execution.to_json() for execution in found.executions]
    output = environment.output
    headings = ("execution", "state", "action", "created", "failure", "key")
    output.answer(
        {"executions": shown, "next_page_token": found.next_page_token},
        lambda: output.table(headings, map(_row, found.executions)),
    )
    if found.next_page_token and not output.machine:
        output.notice(f"more with --page {found.next_page_token}")


def _row(execution: Execution) -> tuple[Any, ...]:
    message, failure = execution.message, execution.failure
    created = f"{message.create_time:%Y-%m-%d %H:%M:%S}" if message.create_time else ""
    return (
        execution.id,
        execution.state.name,
        message.action,
        created,
        failure.reason if failure else "",
        execution.key,
    )


def show(
    environment: Environment,
    execution_id: Annotated[str, typer.Argument(metavar="[ID]", help="Id of the execution.")] = "",
    key: Annotated[str, typer.Option("--key", help="Its idempotency key, instead of the id.")] = "",
    wait: Annotated[float, typer.Option("--wait", min=0, max=3600, help="Seconds to wait for its end.")] = 0.0,
) -> None:
    """Shows one execution: input as stored, output, failure."""
    if bool(execution_id) == bool(key):
        raise Problem("name the execution by its id or by --key")
    output = environment.output
    with output.waiting("waiting for the end"):
        execution = environment.client().executions.get(execution_id, key=key, wait=wait)
    shown = execution.to_json()
    output.answer(shown, lambda: _show(output, shown))


def _show(output: Output, shown: dict[str, Any]) -> None:
    output.json({name: value for name, value in shown.items() if value not in (None, "", [], False)})


def resolve(
    environment: Environment,
    execution_id: IdArgument,
    verdict: Annotated[VerdictName, typer.Option("--verdict", help="What was found at the target.")],
    reason: Annotated[str, typer.Option("--reason", help="How you know.")],
    given: Annotated[str, typer.Option("--output", metavar="JSON|@FILE|-", help="The output as far as known.")] = "",
    actor: Annotated[str, typer.Option("--actor", help="Who decided. Default: the caller.")] = "",
) -> None:
    """Settles an execution whose outcome is unknown.

    `nothing-happened` lets the key be used again; `something-happened` does not.
    """
    if given and verdict is not VerdictName.SUCCEEDED:
        raise Problem("--output belongs to the verdict `succeeded`")
    settled = environment.client().executions.resolve(
        execution_id,
        _VERDICTS[verdict],
        reason=reason,
        output=read_json_object(given, "--output") if given else None,
        actor=actor,
    )
    _told(environment.output, settled)


def cancel(
    environment: Environment,
    execution_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
) -> None:
    """Asks a running execution to stop; what was sent already is finished and recorded."""
    _told(environment.output, environment.client().executions.cancel(execution_id, reason=reason))


def _told(output: Output, execution: Execution) -> None:
    line = f"execution {execution.id}: {execution.state.name}"
    output.answer(to_json(execution.message), lambda: output.line(line))


_VERDICTS: dict[VerdictName, Any] = {
    VerdictName.SUCCEEDED: "succeeded",
    VerdictName.NOTHING_HAPPENED: "nothing_happened",
    VerdictName.SOMETHING_HAPPENED: "something_happened",
}

command(app, "list")(list_executions)
command(app, "show")(show)
command(app, "resolve")(resolve)
command(app, "cancel")(cancel)
