"""Webhook: events of the dispatch board, posted to an address of the tenant's."""

from server.gen.patchbay.modules.webhook.v1 import webhook_pb2
from server.modules.webhook.client import WebhookClient
from server.sdk import IntegrationModule, Registrar
from server.sdk.events import ConsumerContext, Event


async def consume(event: Event, ctx: ConsumerContext[WebhookClient]) -> None:
    """Posts an event. The receiver is nobody's assignee, so private entries keep their details."""
    entry = event.entry.seen_by(None)
    await ctx.client.post(event.id, event.type, event.at, {"sequence": event.sequence, **entry.to_json()})


MODULE = IntegrationModule.of(webhook_pb2.DESCRIPTOR, WebhookClient, consume=consume)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
