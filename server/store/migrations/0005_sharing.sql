-- What replicas share while they work: vendor budgets and named locks.

-- One row per budget in use: how many slots were ever given, and when the last one is. Whoever takes a slot locks it.
CREATE TABLE vendor_budgets (
    tenant    uuid NOT NULL,
    budget    text NOT NULL,
    given     bigint NOT NULL DEFAULT 0,
    last_slot timestamptz NOT NULL DEFAULT '-infinity',
    idle_from timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (tenant, budget)
) WITH (fillfactor = 50);
SELECT patchbay_isolate('vendor_budgets');

-- The last slots of each budget, numbered. Times never go back.
CREATE TABLE vendor_budget_slots (
    tenant uuid NOT NULL,
    budget text NOT NULL,
    number bigint NOT NULL,
    slot   timestamptz NOT NULL,
    PRIMARY KEY (tenant, budget, number)
);
SELECT patchbay_isolate('vendor_budget_slots');

-- Takes a slot of a budget.
--   share     how many slots of any window this caller may bring it to; at most max_slots
--   patience  how far in the future the slot may be
-- Returns whether a slot was taken and the seconds until it; without one, the seconds until the next would be free.
--
-- Slot n comes no earlier than one window after slot n - max_slots. Since times never go back, no window of that
-- length holds more than max_slots of them. A caller with a smaller share looks back less far, so it leaves the rest
-- to others.
CREATE FUNCTION patchbay_take_slot(
    of_tenant uuid, of_budget text, max_slots bigint, share bigint, span interval, patience interval,
    OUT taken boolean, OUT wait double precision
) LANGUAGE plpgsql AS $$
DECLARE
    head vendor_budgets;
    moment timestamptz;
    free timestamptz;
BEGIN
    LOOP
        SELECT * INTO head FROM vendor_budgets WHERE tenant = of_tenant AND budget = of_budget FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO vendor_budgets (tenant, budget) VALUES (of_tenant, of_budget) ON CONFLICT DO NOTHING;
    END LOOP;
    moment := clock_timestamp();
    free := greatest(moment, head.last_slot);
    IF head.given >= share THEN
        -- The oldest that is left, in case a replica with a smaller limit has removed more.
        SELECT greatest(free, s.slot + span) INTO free FROM vendor_budget_slots s
        WHERE s.tenant = of_tenant AND s.budget = of_budget AND s.number >= head.given - share
        ORDER BY s.number LIMIT 1;
    END IF;
    wait := extract(epoch FROM free - moment);
    taken := free <= moment + patience;
    IF taken THEN
        INSERT INTO vendor_budget_slots (tenant, budget, number, slot)
        VALUES (of_tenant, of_budget, head.given, free);
        DELETE FROM vendor_budget_slots
        WHERE tenant = of_tenant AND budget = of_budget AND number <= head.given - max_slots;
        UPDATE vendor_budgets SET given = head.given + 1, last_slot = free, idle_from = free + span
        WHERE tenant = of_tenant AND budget = of_budget;
    END IF;
END
$$;

-- A lock is a lease: whoever holds it renews it, and when it has ended another may take it.
CREATE TABLE named_locks (
    tenant     uuid NOT NULL,
    name       text NOT NULL,
    owner      uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
) WITH (fillfactor = 50);
SELECT patchbay_isolate('named_locks');
