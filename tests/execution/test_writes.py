"""What a handler did and what it may do: writes that were done, reads that must not write."""

import pytest

from server.gen.patchbay.v1 import failure_pb2
from tests.support.served import Served

pytestmark = pytest.mark.anyio


async def test_a_read_that_fails_after_a_write_cannot_deny_the_write(served: Served) -> None:
    """A handler's POST is done, its next GET gets 503: FAILED with effect APPLIED, and the key never posts again."""
    served.lab.control.add_fault("status", method="GET", path_regex="^/things/after", status=503, times=0)
    first = await served.execute("post", {"name": "after", "mode": "read_after"}, "k")
    again = await served.execute("post", {"name": "after", "mode": "read_after"}, "k")
    assert (first.failure.effect, first.failure.retryable) == (failure_pb2.EFFECT_APPLIED, False)
    assert again.replayed
    assert served.lab.posts() == 1


async def test_a_reading_action_cannot_write(served: Served) -> None:
    """A READ action whose handler tries to write is a defect: INTERNAL, and nothing is sent."""
    done = await served.execute("read", {"name": "write!"})
    assert (done.failure.reason, served.lab.control.effects().total) == ("INTERNAL", 0)


async def test_half_a_character_from_the_vendor_keeps_a_refusal_definite(served: Served) -> None:
    """A refusal whose text cannot be encoded is still a definite failure without effect."""
    body = '{"error": "half \\ud83d of a character"}'
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=422, body=body)
    done = await served.execute("post", {"name": "a"}, "k")
    assert (done.failure.reason, done.failure.effect) == ("VENDOR_REJECTED_INPUT", failure_pb2.EFFECT_NONE)
