"""`dispatch sync|dead-letters|retry`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from patchbay_client import to_json
from patchbay_client.gen.patchbay import v1

from server.cli.environment import Environment, command
from server.cli.output import Output

app = typer.Typer(help="Where the events of schedule entries arrive.", no_args_is_help=True)

_HEADINGS = ("event", "number", "type", "consumer", "state", "tries", "last failure", "next try")


def sync(
    environment: Environment,
    entry_id: Annotated[str, typer.Argument(metavar="ENTRY", help="Id of the schedule entry.")],
) -> None:
    """Shows where the events of an entry have arrived, and in whose calendars it stands."""
    found = environment.client().dispatch.sync(entry_id)
    output = environment.output
    output.answer(to_json(found), lambda: _show(output, found))


def _show(output: Output, found: v1.GetSyncResponse) -> None:
    output.line(f"{found.sequence} events so far", style="bold")
    _deliveries(output, found.deliveries)
    if found.calendar_events:
        output.line()
        shown = [(one.user_id, one.provider, one.external_event_id, one.sequence) for one in found.calendar_events]
        output.table(("user", "calendar", "event there", "shows number"), shown)


def dead_letters(
    environment: Environment,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows at most.")] = 100,
) -> None:
    """Lists events that were given up, newest first."""
    found = environment.client().dispatch.dead_letters(limit=limit)
    output = environment.output
    output.answer([to_json(one) for one in found], lambda: _deliveries(output, found))


def retry(
    environment: Environment,
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event, from `dispatch dead-letters`.")],
    consumer: Annotated[str, typer.Argument(metavar="CONSUMER", help="Who is to get it, such as webhook.")],
) -> None:
    """Has an event that was given up delivered once more."""
    delivery = environment.client().dispatch.retry(event_id, consumer)
    output = environment.output
    line = f"event {delivery.event_id} for {delivery.consumer}: {delivery.state}"
    output.answer(to_json(delivery), lambda: output.line(line))


def _deliveries(output: Output, found: Sequence[v1.EventDelivery]) -> None:
    output.table(_HEADINGS, map(_row, found))


def _row(one: v1.EventDelivery) -> tuple[Any, ...]:
    failure = one.last_failure
    return (
        one.event_id,
        one.sequence,
        one.type,
        one.consumer,
        one.state,
        one.attempts,
        f"{failure.reason}: {failure.message}" if failure else "",
        f"{one.next_try_time:%Y-%m-%d %H:%M:%S}" if one.next_try_time else "",
    )


command(app, "sync")(sync)
command(app, "dead-letters")(dead_letters)
command(app, "retry")(retry)
