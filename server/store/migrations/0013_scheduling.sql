-- Scheduling: the directory, the board, and the events that go out. See docs/decisions/0016-scheduling.md, 0017-outbox.md.
-- Tables and columns of the first two are the PSA's, where it has them.

CREATE TABLE users (
    tenant      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id     uuid NOT NULL,
    username    text NOT NULL,
    email       text,
    first_name  text,
    last_name   text,
    user_type   text NOT NULL DEFAULT 'internal',
    is_inactive boolean NOT NULL DEFAULT false,
    timezone    text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, user_id),
    UNIQUE (tenant, username) DEFERRABLE  -- at the end of a statement: two users can swap theirs
);
SELECT patchbay_isolate('users');

CREATE TABLE roles (
    tenant      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    role_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    role_name   text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, role_id),
    UNIQUE (tenant, role_name)
);
SELECT patchbay_isolate('roles');

CREATE TABLE user_roles (
    tenant     uuid NOT NULL,
    user_id    uuid NOT NULL,
    role_id    uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, user_id, role_id),
    FOREIGN KEY (tenant, user_id) REFERENCES users ON DELETE CASCADE,
    FOREIGN KEY (tenant, role_id) REFERENCES roles ON DELETE CASCADE
);
SELECT patchbay_isolate('user_roles');

CREATE TABLE tickets (
    tenant        uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    ticket_id     uuid NOT NULL,
    ticket_number text NOT NULL,
    title         text,
    is_closed     boolean,
    entered_at    timestamptz DEFAULT now(),
    updated_at    timestamptz DEFAULT now(),
    PRIMARY KEY (tenant, ticket_id),
    UNIQUE (tenant, ticket_number) DEFERRABLE
);
SELECT patchbay_isolate('tickets');

CREATE TABLE project_tasks (
    tenant     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    task_id    uuid NOT NULL,
    task_name  text NOT NULL,
    is_closed  boolean,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, task_id)
);
SELECT patchbay_isolate('project_tasks');

CREATE TABLE schedule_entries (
    tenant             uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    entry_id           uuid NOT NULL DEFAULT gen_random_uuid(),
    title              text NOT NULL,
    work_item_id       uuid,
    work_item_type     text NOT NULL CHECK (work_item_type IN (
        'project_task', 'ticket', 'interaction', 'ad_hoc', 'appointment_request', 'opportunity_step')),
    scheduled_start    timestamptz,
    scheduled_end      timestamptz,
    status             text NOT NULL,
    notes              text,
    recurrence_pattern jsonb,
    original_entry_id  uuid,
    is_recurring       boolean NOT NULL DEFAULT false,
    is_private         boolean NOT NULL DEFAULT false,
    timezone           text,             -- IANA name; recurring entries keep their time of day in it
    recurs_until       timestamptz,      -- end of the last occurrence; NULL: not recurring, or without end
    sequence           bigint NOT NULL DEFAULT 0,  -- number of the last event about it
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, entry_id),
    CHECK (work_item_type = 'ad_hoc' OR (scheduled_start IS NOT NULL AND scheduled_end IS NOT NULL)),
    CHECK ((scheduled_start IS NULL) = (scheduled_end IS NULL) AND scheduled_end > scheduled_start)
);
CREATE INDEX schedule_entries_by_time ON schedule_entries (tenant, scheduled_start, scheduled_end);
CREATE INDEX schedule_entries_recurring ON schedule_entries (tenant, scheduled_start) WHERE is_recurring;
CREATE INDEX schedule_entries_by_work_item ON schedule_entries (tenant, work_item_type, work_item_id);
SELECT patchbay_isolate('schedule_entries');

CREATE TABLE schedule_entry_assignees (
    tenant   uuid NOT NULL,
    entry_id uuid NOT NULL,
    user_id  uuid NOT NULL,
    PRIMARY KEY (tenant, entry_id, user_id),
    FOREIGN KEY (tenant, entry_id) REFERENCES schedule_entries ON DELETE CASCADE,
    FOREIGN KEY (tenant, user_id) REFERENCES users
);
CREATE INDEX schedule_entry_assignees_by_user ON schedule_entry_assignees (tenant, user_id, entry_id);
SELECT patchbay_isolate('schedule_entry_assignees');

-- A pair of entries that overlap on purpose, once, the smaller id first.
CREATE TABLE schedule_conflicts (
    tenant           uuid NOT NULL,
    conflict_id      uuid NOT NULL DEFAULT gen_random_uuid(),
    entry_id_1       uuid NOT NULL,
    entry_id_2       uuid NOT NULL,
    conflict_type    text NOT NULL DEFAULT 'overlap',
    resolved         boolean NOT NULL DEFAULT false,
    resolution_notes text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, conflict_id),
    UNIQUE (tenant, entry_id_1, entry_id_2, conflict_type),
    CHECK (entry_id_1 < entry_id_2),
    FOREIGN KEY (tenant, entry_id_1) REFERENCES schedule_entries ON DELETE CASCADE,
    FOREIGN KEY (tenant, entry_id_2) REFERENCES schedule_entries ON DELETE CASCADE
);
CREATE INDEX schedule_conflicts_by_second ON schedule_conflicts (tenant, entry_id_2);
SELECT patchbay_isolate('schedule_conflicts');

-- Calendars of people into which entries are written, and the events in them.
CREATE TABLE calendar_providers (
    id             uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant         uuid NOT NULL,
    user_id        uuid NOT NULL,
    provider_type  text NOT NULL CHECK (provider_type IN ('google', 'microsoft')),
    calendar_id    text,  -- NULL: the person's default calendar
    is_active      boolean NOT NULL DEFAULT true,
    sync_direction text NOT NULL DEFAULT 'to_external'
        CHECK (sync_direction IN ('bidirectional', 'to_external', 'from_external')),
    status         text NOT NULL DEFAULT 'connected'
        CHECK (status IN ('connected', 'disconnected', 'error', 'configuring')),
    error_message  text,
    last_sync_at   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, user_id, provider_type),
    FOREIGN KEY (tenant, user_id) REFERENCES users ON DELETE CASCADE
);
SELECT patchbay_isolate('calendar_providers');

CREATE TABLE calendar_event_mappings (
    tenant               uuid NOT NULL,
    schedule_entry_id    uuid NOT NULL,
    calendar_provider_id uuid NOT NULL,
    external_event_id    text NOT NULL,
    account_id           text NOT NULL,  -- whose calendar, as the provider names the person
    calendar_id          text,
    sync_status          text NOT NULL DEFAULT 'synced'
        CHECK (sync_status IN ('synced', 'pending', 'conflict', 'error')),
    sequence             bigint NOT NULL,  -- number of the event about the entry that it shows
    alga_last_modified   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, schedule_entry_id, calendar_provider_id),
    FOREIGN KEY (tenant, schedule_entry_id) REFERENCES schedule_entries ON DELETE CASCADE,
    FOREIGN KEY (tenant, calendar_provider_id) REFERENCES calendar_providers ON DELETE CASCADE
);
SELECT patchbay_isolate('calendar_event_mappings');

-- Events, written in the transaction of what they tell. `subject` is the entry.
CREATE TABLE outbox_events (
    tenant     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    event_id   uuid NOT NULL DEFAULT gen_random_uuid(),
    type       text NOT NULL,
    subject    uuid NOT NULL,
    sequence   bigint NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, event_id),
    UNIQUE (tenant, subject, sequence)
);
CREATE INDEX outbox_events_by_time ON outbox_events (created_at);
SELECT patchbay_isolate('outbox_events');

-- One event on its way to one connection. `lease_until`: a replica works on it. They go with the connection.
CREATE TABLE outbox_deliveries (
    tenant         uuid NOT NULL,
    event_id       uuid NOT NULL,
    integration_id uuid NOT NULL,
    consumer       text NOT NULL,  -- provider of the connection
    subject        uuid NOT NULL,
    sequence       bigint NOT NULL,
    attempts       integer NOT NULL DEFAULT 0,
    next_try_at    timestamptz NOT NULL DEFAULT now(),
    lease_until    timestamptz,
    last_failure   jsonb,
    delivered_at   timestamptz,
    PRIMARY KEY (tenant, event_id, integration_id),
    FOREIGN KEY (tenant, event_id) REFERENCES outbox_events ON DELETE CASCADE,
    FOREIGN KEY (tenant, integration_id) REFERENCES rmm_integrations ON DELETE CASCADE
);
CREATE INDEX outbox_deliveries_due ON outbox_deliveries (tenant, integration_id, next_try_at)
    WHERE delivered_at IS NULL;
CREATE INDEX outbox_deliveries_leased ON outbox_deliveries (integration_id)
    WHERE delivered_at IS NULL AND lease_until IS NOT NULL;
CREATE INDEX outbox_deliveries_in_order ON outbox_deliveries (subject)
    WHERE delivered_at IS NULL;
SELECT patchbay_isolate('outbox_deliveries');

-- Deliveries that were given up.
CREATE TABLE outbox_dead_letters (
    tenant         uuid NOT NULL,
    event_id       uuid NOT NULL,
    integration_id uuid NOT NULL,
    consumer       text NOT NULL,
    subject        uuid NOT NULL,
    sequence       bigint NOT NULL,
    attempts       integer NOT NULL,
    last_failure   jsonb NOT NULL,
    died_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, event_id, integration_id),
    FOREIGN KEY (tenant, event_id) REFERENCES outbox_events ON DELETE CASCADE,
    FOREIGN KEY (tenant, integration_id) REFERENCES rmm_integrations ON DELETE CASCADE
);
CREATE INDEX outbox_dead_letters_by_time ON outbox_dead_letters (tenant, died_at DESC);
SELECT patchbay_isolate('outbox_dead_letters');

-- Replicas hear of new events at once; the loop finds what they miss.
CREATE FUNCTION patchbay_notify_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added) THEN
        PERFORM pg_notify('patchbay_outbox', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER patchbay_notify AFTER INSERT ON outbox_deliveries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION patchbay_notify_outbox();

-- Calendar feeds. The address is kept as its SHA-256 only.
CREATE TABLE schedule_feeds (
    tenant       uuid NOT NULL,
    feed_id      uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL,
    label        text NOT NULL DEFAULT '',
    secret_hash  bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_read_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant, feed_id),
    FOREIGN KEY (tenant, user_id) REFERENCES users ON DELETE CASCADE
);
SELECT patchbay_isolate('schedule_feeds');

-- What a row of the audit is about, such as `schedule_entries/<id>`; empty for calls.
ALTER TABLE audit_log ADD COLUMN record text NOT NULL DEFAULT '';
