-- One row per tenant and idempotency key; READ executions have no key and are written when they are over.

CREATE TABLE workflow_action_invocations (
    tenant uuid NOT NULL,
    invocation_id uuid NOT NULL,
    idempotency_key text,
    action_id text NOT NULL,
    action_version integer NOT NULL,
    effect_class smallint NOT NULL,
    status text NOT NULL CHECK (status IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'UNKNOWN')),
    attempt integer NOT NULL DEFAULT 1,
    fence bigint NOT NULL DEFAULT 1,
    lease_owner uuid,
    sent_at timestamptz,
    first_sent_at timestamptz,
    claimable boolean NOT NULL DEFAULT false,
    fingerprint bytea,
    fingerprint_algorithm text,
    connection_id uuid,
    run_id text NOT NULL DEFAULT '',
    step_path text NOT NULL DEFAULT '',
    engine_attempt integer NOT NULL DEFAULT 0,
    caller text NOT NULL,
    actor text NOT NULL DEFAULT '',
    input_json json,
    output_json json,
    failure json,
    warnings json,
    evidence json,
    late_evidence json,
    resolution json,
    budget_wait double precision NOT NULL DEFAULT 0,
    probes smallint NOT NULL DEFAULT 0,
    next_probe_at timestamptz,
    cancel_requested_at timestamptz,
    payload_dropped boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    PRIMARY KEY (tenant, invocation_id),
    UNIQUE (tenant, idempotency_key)
);

-- The list, newest first; runs; what a sweeper looks for; what retention looks for.
CREATE INDEX invocations_by_time ON workflow_action_invocations (tenant, created_at DESC, invocation_id DESC);
CREATE INDEX invocations_by_run ON workflow_action_invocations (tenant, run_id) WHERE run_id <> '';
CREATE INDEX invocations_running ON workflow_action_invocations (lease_owner) WHERE status = 'RUNNING';
CREATE INDEX invocations_to_probe ON workflow_action_invocations (next_probe_at) WHERE next_probe_at IS NOT NULL;
CREATE INDEX invocations_with_payload ON workflow_action_invocations (created_at) WHERE NOT payload_dropped;
CREATE INDEX invocations_tombstones ON workflow_action_invocations (created_at) WHERE payload_dropped;

SELECT patchbay_isolate('workflow_action_invocations');

-- One lease per server process: it covers all that the process runs.
CREATE TABLE server_leases (
    owner uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_action_invocations, server_leases TO patchbay_app;
