"""Types of activity: what a notice may be. The app package declares them, requests name them."""

from dataclasses import dataclass
from typing import Final

ITEM: Final = "item"
"""The one parameter of every template. `{actor}` is filled in by Teams: the app's name."""


@dataclass(frozen=True, slots=True)
class ActivityType:
    """A type as a manifest declares it.

    Attributes:
        name: As requests name it.
        description: What the person reads in Teams' settings for notifications.
        template: What a notice says.
    """

    name: str
    description: str
    template: str


OF_CATEGORY: Final = {
    "assignment": ActivityType("assignmentCreated", "Work is assigned to you", "{actor} assigned to you: {item}"),
    "customer_reply": ActivityType("customerReplyReceived", "A customer replied", "{actor} tells of a reply: {item}"),
    "approval_request": ActivityType("approvalRequested", "Your approval is asked for", "{actor} asks you: {item}"),
    "escalation": ActivityType("workEscalated", "Work was escalated to you", "{actor} escalated to you: {item}"),
    "sla_risk": ActivityType("slaRiskDetected", "A service level is at risk", "{actor} sees an SLA at risk: {item}"),
}
"""The types by our category."""
