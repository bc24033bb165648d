"""Webhook: events of the dispatch board, posted to an address of the tenant's."""

from server.gen.patchbay.modules.webhook.v1 import webhook_pb2
from server.modules.webhook.client import WebhookClient, instance_url
from server.sdk import IntegrationModule, Registrar, rmm_connection
from server.sdk.events import ConsumerContext, Event


async def consume(event: Event, ctx: ConsumerContext[WebhookClient]) -> None:
    """Posts an event. The receiver is nobody's assignee, so private entries keep their details."""
    entry = event.entry.seen_by(None)
    await ctx.client.post(event.id, event.type, event.at, {"sequence": event.sequence, **entry.to_json()})


MODULE = IntegrationModule[webhook_pb2.WebhookConnection, WebhookClient](
    contract=webhook_pb2.DESCRIPTOR.services_by_name["Webhook"],
    availability=rmm_connection("webhook", "Webhook"),
    connect=WebhookClient,
    check=WebhookClient.check,
    instance_url=instance_url,
    handlers=(),
    consume=consume,
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
