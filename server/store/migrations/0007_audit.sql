-- Who did what, for whom, from where: one row per call, reads included.

-- A call that names no tenant is recorded under the nil UUID, which no tenant has.
CREATE TABLE audit_log (
    tenant         uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    id             bigint GENERATED ALWAYS AS IDENTITY,
    at             timestamptz NOT NULL DEFAULT now(),
    caller         text NOT NULL,
    actor          text NOT NULL DEFAULT '',
    peer           text NOT NULL DEFAULT '',
    operation      text NOT NULL,
    action         text NOT NULL DEFAULT '',
    action_version integer NOT NULL DEFAULT 0,
    execution_id   uuid,
    run_id         text NOT NULL DEFAULT '',
    step_path      text NOT NULL DEFAULT '',
    outcome        text NOT NULL,
    reason         text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
);

-- Pruning walks this one from its old end, so it costs what it removes, whatever the table holds. New rows go to its
-- other end. (A BRIN index would be smaller, but rows that reuse pruned pages spoil its ranges.)
CREATE INDEX audit_log_by_time ON audit_log (at);

SELECT patchbay_isolate('audit_log');

-- Append only: no row changes, and only the retention job, which works for every tenant, removes any.
REVOKE UPDATE ON audit_log FROM patchbay_app;
CREATE POLICY audit_log_pruning ON audit_log AS RESTRICTIVE FOR DELETE
    USING ((SELECT current_setting('patchbay.tenant', true)) = '*');

-- Batches that were written: a batch that is sent again because its answer was lost adds nothing.
CREATE TABLE audit_batches (
    batch uuid PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, DELETE ON audit_batches TO patchbay_app;
