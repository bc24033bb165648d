"""Availability fails closed, asks rarely and lets no module delay another."""

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from server.core.availability import CHECK_FAILED, Availabilities
from server.errors import PatchbayError
from server.sdk.availability import Verdict
from tests.catalog.support import TACTICAL, ZETA, Integrations, fixture_module, registry_of, tactical

pytestmark = pytest.mark.anyio


class Clock:
    """Monotonic seconds that a test moves."""

    now = 100.0

    def read(self) -> float:
        """Returns the present."""
        return self.now


async def test_connected_and_unconnected_modules(availabilities):
    """A connected app and core groups are available; an app without a connection says NOT_CONNECTED and a remedy."""
    verdicts = await availabilities.of("a")
    assert verdicts[TACTICAL].available
    assert verdicts["ticket"].available
    assert verdicts["transform"].available
    assert verdicts[ZETA].reason == "NOT_CONNECTED"
    assert verdicts[ZETA].remedy


async def test_one_query_serves_all_resolvers(availabilities, integrations):
    """Two resolvers and ten callers at once cost one query."""
    await asyncio.gather(*(availabilities.of("a") for _ in range(10)))
    assert integrations.asked == 1


async def test_fresh_answers_do_not_ask_again(registry, integrations):
    """An answer is used until it is five seconds old, and no longer."""
    clock = Clock()
    availabilities = Availabilities(registry, integrations, fresh_for=60, clock=clock.read)
    await availabilities.of("a")
    clock.now += 4.9
    await availabilities.of("a")
    assert integrations.asked == 1
    clock.now += 0.2
    await availabilities.of("a")
    assert integrations.asked == 2


async def test_a_fresh_answer_does_not_suspend(availabilities):
    """While fresh, the coroutine ends at its first step: nothing is awaited."""
    known = await availabilities.of("a")
    coroutine = availabilities.of("a")
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    assert ended.value.value is known


async def test_forget_asks_again(availabilities, integrations):
    """After forget the next question sees the change."""
    assert not (await availabilities.of("a"))[ZETA].available
    integrations.connect("a", "zeta")
    availabilities.forget("a")
    verdicts = await availabilities.of("a")
    assert verdicts[ZETA].available
    assert not verdicts[TACTICAL].available


async def test_forget_all_asks_again_for_every_tenant(availabilities, integrations):
    """After forget_all every tenant is asked for again."""
    await availabilities.of("a")
    await availabilities.of("b")
    availabilities.forget_all()
    await availabilities.of("a")
    await availabilities.of("b")
    assert integrations.asked == 4


async def test_a_check_older_than_the_change_is_not_kept(registry):
    """What a check read before forget answers its own waiters only; it never becomes the fresh answer."""
    integrations = Integrations()
    integrations.gate = asyncio.Event()
    availabilities = Availabilities(registry, integrations)
    before = asyncio.create_task(availabilities.of("a"))
    await integrations.reading.wait()
    integrations.connect("a", "zeta")
    availabilities.forget("a")
    after = asyncio.create_task(availabilities.of("a"))
    integrations.gate.set()
    assert not (await before)[ZETA].available
    assert (await after)[ZETA].available
    assert (await availabilities.of("a"))[ZETA].available


async def test_equal_verdicts_are_one_object(availabilities):
    """Tenants of equal availability share one object, so a tenant costs a reference."""
    assert await availabilities.of("x") is await availabilities.of("y")


async def test_the_least_recently_used_tenant_leaves(registry, integrations):
    """With room for two tenants, the third takes the place of the one not used for longest."""
    availabilities = Availabilities(registry, integrations, capacity=2)
    for tenant in ("a", "b", "a", "c", "a"):
        await availabilities.of(tenant)
    assert integrations.asked == 3
    await availabilities.of("b")
    assert integrations.asked == 4


async def test_a_cancelled_caller_does_not_cancel_the_others(registry):
    """One caller gives up; the shared check goes on for the other."""
    integrations = Integrations()
    integrations.gate = asyncio.Event()
    integrations.connect("a", "zeta")
    availabilities = Availabilities(registry, integrations)
    first, second = (asyncio.create_task(availabilities.of("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    integrations.gate.set()
    assert (await second)[ZETA].available
    assert first.cancelled()
    assert integrations.asked == 1


async def _raises(context):
    raise ConnectionError("postgresql://app:hunter2@db.example.com is gone")


async def _raises_ours(context):
    raise PatchbayError("The add-on's state is not readable.")


async def _hangs(context):
    await asyncio.Event().wait()


async def _hangs_rudely(context):
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def _cancels_itself(context):
    raise asyncio.CancelledError


async def _answers_true(context):
    return True


def _is_no_coroutine(context):
    raise RuntimeError("not even a coroutine")


@pytest.mark.parametrize(
    ("resolver", "cause"),
    [
        (_raises, "ConnectionError"),
        (_raises_ours, "PatchbayError: The add-on's state is not readable."),
        (_hangs, "no answer within 0.05 s"),
        (_hangs_rudely, "no answer within 0.05 s"),
        (_cancels_itself, "the check was cancelled"),
        (_answers_true, "TypeError"),
        (_is_no_coroutine, "RuntimeError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_resolver_that_cannot_tell_fails_closed(vendor, image, integrations, resolver, cause):
    """Raising, hanging or misbehaving counts as unavailable, is logged with its cause and spares other modules."""
    registry = registry_of(tactical(vendor), fixture_module("Zeta", image, vendor, resolver))
    availabilities = Availabilities(registry, integrations, time_limit=0.05)
    with capture_logs() as logs:
        verdicts = await availabilities.of("a")
    assert verdicts[ZETA].reason == CHECK_FAILED
    assert verdicts[TACTICAL].available
    assert not verdicts.certain
    assert [(entry["module"], entry["tenant"], entry["cause"]) for entry in logs] == [("zeta desk", "a", cause)]
    assert "hunter2" not in f"{logs}{verdicts[ZETA]}"


async def test_a_failing_query_fails_every_app_closed(registry):
    """Without the database apps are unavailable with a reason; core groups stay available."""
    integrations = Integrations()
    integrations.broken = ConnectionError()
    with capture_logs() as logs:
        verdicts = await Availabilities(registry, integrations).of("a")
    assert {verdicts[ZETA].reason, verdicts[TACTICAL].reason} == {CHECK_FAILED}
    assert verdicts["ticket"].available
    assert len(logs) == 2


async def test_an_app_without_a_rule_is_unavailable(vendor, image, integrations):
    """An app whose module gives no resolver is never available."""
    registry = registry_of(fixture_module("Zeta", image, vendor))
    verdicts = await Availabilities(registry, integrations).of("a")
    assert verdicts[ZETA].reason == CHECK_FAILED


async def test_one_does_not_wait_for_other_modules(vendor, image, integrations):
    """While another module's resolver hangs, one module's verdict is there."""
    release = asyncio.Event()

    async def waits(context):
        await release.wait()
        return Verdict()

    registry = registry_of(tactical(vendor), fixture_module("Zeta", image, vendor, waits))
    availabilities = Availabilities(registry, integrations, time_limit=30)
    assert (await availabilities.one("a", registry.modules[TACTICAL])).available
    all_of_them = asyncio.create_task(availabilities.of("a"))
    await asyncio.sleep(0)
    assert not all_of_them.done()
    release.set()
    assert (await all_of_them)[ZETA].available
    assert (await availabilities.one("a", registry.modules[ZETA])).available
    assert integrations.asked == 1
