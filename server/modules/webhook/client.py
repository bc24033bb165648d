"""A receiver of webhooks. Facts: the Standard Webhooks specification 1.0.0, standardwebhooks.com."""

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from standardwebhooks.webhooks import Webhook

from server.gen.patchbay.modules.webhook.v1.webhook_pb2 import WebhookConnection
from server.sdk import ActionFailure, ConnectionScope
from server.sdk.addresses import instance_address
from server.sdk.http import HttpResponse

TEST_EVENT: Final = "patchbay.test"
_PREFIX: Final = "whsec_"
_UNSIGNED: Final = frozenset({401, 403})
_SECRET_BYTES: Final = range(24, 65)


class WebhookClient:
    """One receiver.

    Args:
        scope: The connection; sends nothing yet.
    """

    def __init__(self, scope: ConnectionScope[WebhookConnection]) -> None:
        settings = scope.settings
        self._signers = [_signer(settings.signing_secret, "signing_secret")]
        if settings.former_signing_secret:
            self._signers.append(_signer(settings.former_signing_secret, "former_signing_secret"))
        self._path = _path(settings.url)
        self._http = scope.http.bind(base_url=self.instance_url(settings), read_error=_read_error)

    @staticmethod
    def instance_url(settings: WebhookConnection) -> str:
        """Returns scheme, host and port of the receiver: the rest of its address may be secret."""
        whole = instance_address(settings.url.partition("?")[0], field="settings.url")
        return "/".join(whole.split("/")[:3])

    async def check(self) -> None:
        """Posts an event of type `patchbay.test`; raises ActionFailure unless the receiver takes it."""
        await self.post(str(uuid4()), TEST_EVENT, datetime.now(UTC), {})

    async def post(self, id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Posts an event, signed at this moment.

        Args:
            id: Id of the event; receivers drop what they have had already by it.
            kind: Type of the event.
            at: When it happened.
            data: What happened.

        Raises:
            ActionFailure: The receiver did not take it; retryable unless it said 410 Gone.
            OutcomeUnknown: It may have taken it.
        """
        text = json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data}, separators=(",", ":"))
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(id, now, text) for signer in self._signers),
        }
        try:
            await self._http.request("POST", self._path, content=text.encode(), headers=headers)
        except ActionFailure as failure:
            if failure.failure.reason == "TLS_FAILED":
                failure.failure.retryable = True  # certificates are renewed
            raise


def _path(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"https://{url}")
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _signer(secret: str, field: str) -> Webhook:
    coded = secret.removeprefix(_PREFIX).rstrip("=")
    try:
        key = b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) not in _SECRET_BYTES:
        message = f"A signing secret is `{_PREFIX}` and 24 to 64 random bytes in base64."
        raise ActionFailure("INTEGRATION_MISCONFIGURED", message, field=f"settings.{field}")
    return Webhook(key)


def _read_error(response: HttpResponse) -> ActionFailure:
    """Everything but 410 may be put right at the receiver, so it is worth another try. Redirects are not followed."""
    status, wait = response.status, response.retry_after
    if status == 410:
        return ActionFailure("NOT_FOUND", "The receiver wants no more events (410 Gone).")
    if status == 429:
        return ActionFailure("RATE_LIMITED", "The receiver asks for patience (429).", retry_after=wait)
    if status >= 500:
        return ActionFailure("VENDOR_UNAVAILABLE", f"The receiver has trouble ({status}).", retry_after=wait)
    if 300 <= status < 400:
        remedy = "Enter the address to which the receiver redirects."
        return ActionFailure(
            "VENDOR_ANSWER_INVALID", f"The receiver redirects ({status}).", retryable=True, remedy=remedy
        )
    reason = "CREDENTIALS_REFUSED" if status in _UNSIGNED else "VENDOR_REJECTED_INPUT"
    remedy = "Look at why the receiver refuses events, and whether it has the same signing secret."
    return ActionFailure(
        reason, f"The receiver refuses events ({status}).", retryable=True, retry_after=wait, remedy=remedy
    )
