"""What the vendor sends to a bot, at a test's wish: activities, signed as they should be or as they should not."""

from sandbox.teams.inbound.delivery import Delivery

__all__ = ["Delivery"]
