"""`catalog`, `describe`, `execute`."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from patchbay_client import Execution, PermissionDenied, StillRunning, new_key, to_json
from patchbay_client.gen.patchbay import v1

from server.cli.environment import Environment, command
from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.reading import read_json_object

_OUTAGE = 20.0  # seconds for which an execution survives a server that restarts

ActionArgument = Annotated[str, typer.Argument(metavar="ACTION", help="Id, such as tacticalrmm.agents.find.")]
VersionOption = Annotated[int, typer.Option("--version", min=0, help="Version. 0: the newest.")]
InputOption = Annotated[
    str, typer.Option("--input", metavar="JSON|@FILE|-", help="Input: a JSON object, a file, or standard input.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    command(app, "catalog")(catalog)
    command(app, "describe")(describe)
    command(app, "execute")(execute)


def catalog(environment: Environment) -> None:
    """Lists every tool with its availability and its actions."""
    answer = environment.client().catalog()
    output = environment.output
    output.answer(to_json(answer), lambda: _show_catalog(output, answer))


def _show_catalog(output: Output, answer: v1.GetCatalogResponse) -> None:
    for group in answer.groups:
        available = group.availability or v1.Availability()
        usable = available.state == v1.AvailabilityState.AVAILABLE
        told = "available" if usable else f"not available: {available.message or available.reason}"
        output.line(f"{group.label} ({group.group_key}) - {told}", style="bold")
        if available.remedy:
            output.line(f"  {available.remedy.text}")
        output.table(("action", "version", "effect", "label"), _action_rows(group))
        output.line()


def _action_rows(group: v1.CatalogGroup) -> Iterator[tuple[Any, ...]]:
    for action in group.actions:
        label = f"{action.label} (deprecated)" if action.deprecated else action.label
        yield f"  {action.id}", action.version, action.effect.name, label


def describe(environment: Environment, action: ActionArgument, version: VersionOption = 0) -> None:
    """Shows everything about one action: input, failures, what repeating it does."""
    definition = environment.client().action(action, version=version)
    output = environment.output
    output.answer(_definition_json(definition), lambda: _show_definition(output, definition))


def _definition_json(definition: v1.ActionDefinition) -> dict[str, Any]:
    shown = to_json(definition)
    for name in ("input", "output"):
        schema = getattr(definition, name)
        if schema is not None:
            shown[name] = {"hash": schema.hash, "schema": _schema(schema.bundled_json)}
    return shown


def _schema(text: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(text or "{}")
    return schema


def _show_definition(output: Output, definition: v1.ActionDefinition) -> None:
    summary = definition.summary or v1.CatalogAction()
    output.line(f"{summary.id} version {summary.version}: {summary.label}", style="bold")
    output.line(summary.description)
    output.line()
    facts = {
        "effect": summary.effect.name,
        "timeout": definition.timeout,
        "permission": definition.permission,
        "rpc": definition.rpc,
        "vendor's page": definition.vendor_url,
    }
    output.table(("", ""), ((name, value) for name, value in facts.items() if value))
    for title, schema in (("input", definition.input), ("output", definition.output)):
        output.line(f"\n{title}", style="bold")
        fields = _schema(schema.inlined_json if schema else "")
        output.table(("field", "type", "needed", "meaning"), _field_rows(fields))
    if definition.failures:
        output.line("\nfailures beside the common ones", style="bold")
        output.table(("reason", "when", "remedy"), _failure_rows(definition))


def _field_rows(schema: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        kind = field.get("type", "") if isinstance(field, dict) else ""
        meaning = field.get("description", "") if isinstance(field, dict) else ""
        shown = kind if isinstance(kind, str) else " or ".join(map(str, kind))
        yield f"  {name}", shown, "yes" if name in needed else "", meaning


def _failure_rows(definition: v1.ActionDefinition) -> Iterator[tuple[str, str, str]]:
    for failure in definition.failures:
        yield f"  {failure.reason}", failure.description, failure.remedy


def execute(
    environment: Environment,
    action: ActionArgument,
    given: InputOption = "{}",
    version: VersionOption = 0,
    key: Annotated[str, typer.Option("--key", help="Idempotency key. Made up for actions that change things.")] = "",
    run: Annotated[str, typer.Option("--run", help="The workflow run; with --step it makes the key.")] = "",
    step: Annotated[str, typer.Option("--step", help="The step within the run.")] = "",
    actor: Annotated[str, typer.Option("--actor", help="On whose behalf.")] = "",
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait in all.")] = 300.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once what runs already.")] = False,
) -> None:
    """Executes an action once, and waits for its end.

    The output goes to standard output. A key is made up for an action that changes something and shown on standard
    error before anything is sent: with `--key` and that key the same call can be repeated safely.
    """
    if bool(run) != bool(step):
        raise Problem("--run and --step make the key together: give both or neither")
    inputs = read_json_object(given, "--input")
    client, output = environment.client(outage=_OUTAGE), environment.output
    if not key and not run and _changes_something(environment, action, version):
        key = new_key()
        output.notice(f"idempotency key: {key}", idempotency_key=key)
    with output.waiting(f"waiting for {action}"):
        execution = client.execute(
            action,
            inputs,
            key=key,
            run=run,
            step=step,
            version=version,
            actor=actor,
            timeout=timeout,
            wait=not no_wait,
            raise_on_failure=False,
        )
    finish(output, execution)


def _changes_something(environment: Environment, action: str, version: int) -> bool:
    try:
        summary = environment.client().action(action, version=version).summary
    except PermissionDenied:  # a caller may execute what it may not look up
        return True
    return summary is None or summary.effect != v1.EffectClass.READ


def finish(output: Output, execution: Execution) -> None:
    """Writes an execution and raises what it ended with.

    Raises:
        PatchbayError: It failed, its outcome is unknown, or it still runs.
    """
    output.answer(execution.to_json(), lambda: _show_result(output, execution))
    execution.raise_for_failure()
    if execution.running:
        raise StillRunning(execution)


def _show_result(output: Output, execution: Execution) -> None:
    how = "replayed from the record" if execution.replayed else f"attempt {execution.message.attempt}"
    output.notice(f"execution {execution.id}: {execution.state.name} ({how})")
    for warning in execution.warnings:
        output.notice(f"warning {warning.reason}: {warning.message}")
    if execution.succeeded:
        output.json(execution.output)
