"""When a delivery is tried again, and how deliveries are found."""

import pytest

from server.core.deliveries import is_hopeless, pause_after
from server.sdk.failures import ActionFailure, OutcomeUnknown
from server.store.database import Database
from server.store.outbox import BY_INDEX, TAKE

BACKLOG = """
    INSERT INTO tenants SELECT gen_random_uuid(), 'acme';
    INSERT INTO rmm_integrations (tenant, integration_id, provider, is_active, connected_at)
        SELECT tenant, gen_random_uuid(), 'webhook', true, now() FROM tenants;
    INSERT INTO outbox_events (tenant, type, subject, sequence, data)
        SELECT tenant, 't', gen_random_uuid(), 1, '{}' FROM tenants, generate_series(1, 2000);
    INSERT INTO outbox_deliveries (tenant, event_id, integration_id, consumer, subject, sequence)
        SELECT tenant, event_id, integration_id, 'webhook', subject, 1
        FROM outbox_events JOIN rmm_integrations USING (tenant)
"""
LOST = ActionFailure("VENDOR_UNAVAILABLE", "It is away.").failure


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    """1 s, 2 s, 4 s and so on to 15 min, at most half of it left out by chance."""
    longest = [pause_after(attempt, LOST, lambda: 1.0) for attempt in range(1, 13)]
    assert longest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert [pause_after(attempt, LOST, lambda: 0.0) for attempt in (1, 2, 5_000)] == [0.5, 1, 450]


def test_a_hundred_tries_take_about_a_day() -> None:
    """The default number of tries gives a receiver that is away between half a day and a day and a half."""
    total = sum(pause_after(attempt, LOST, lambda: 0.5) for attempt in range(1, 100))
    assert 12 * 3600 < total < 36 * 3600


def test_patience_that_is_asked_for_is_kept() -> None:
    """Retry-After counts when it is longer than the pause, and is never cut."""
    asked = ActionFailure("RATE_LIMITED", "Slowly.", retry_after=3600).failure
    assert pause_after(1, asked, lambda: 0.0) == 3600
    assert pause_after(12, ActionFailure("RATE_LIMITED", "Soon.", retry_after=2).failure, lambda: 1.0) == 900


@pytest.mark.parametrize(
    ("failure", "hopeless"),
    [
        (ActionFailure("VENDOR_UNAVAILABLE", "x"), False),
        (OutcomeUnknown("x"), False),
        (ActionFailure("NOT_FOUND", "x"), True),
        (ActionFailure("NOT_FOUND", "x", retryable=True), False),
        (ActionFailure("CREDENTIALS_EXPIRED", "x"), False),
        (ActionFailure("EGRESS_REFUSED", "x"), True),
    ],
)
def test_what_cannot_go_better_is_not_tried_again(failure: ActionFailure, hopeless: bool) -> None:
    """A failure ends the tries when neither time nor a person who renews the connection can help."""
    assert is_hopeless(failure.failure) is hopeless


@pytest.mark.anyio
async def test_due_deliveries_are_found_by_indexes(database: Database) -> None:
    """Also where PostgreSQL knows nothing of the tables, no step reads a whole one of them."""
    async with database.system() as connection:
        await connection.execute(BACKLOG)
    async with database.system() as connection, connection.transaction():
        await connection.execute(BY_INDEX)
        rows = await connection.fetch(f"EXPLAIN {TAKE}", ["webhook"], 10, 4, 30.0)
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan
    assert "Bitmap" not in plan
    assert plan.count("Tid Scan") == 2
    for index in ("outbox_deliveries_due", "outbox_deliveries_in_order", "outbox_deliveries_leased"):
        assert f"using {index}" in plan
