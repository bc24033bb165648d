-- Connections of tenants to their tools, and their credentials.

CREATE TABLE rmm_integrations (
    tenant                   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    integration_id           uuid NOT NULL,
    provider                 varchar(50) NOT NULL,
    instance_url             text,
    is_active                boolean NOT NULL DEFAULT false,
    connected_at             timestamptz,
    last_sync_at             timestamptz,
    last_full_sync_at        timestamptz,
    last_incremental_sync_at timestamptz,
    sync_status              varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (sync_status IN ('pending', 'syncing', 'completed', 'error')),
    sync_error               text,
    settings                 jsonb NOT NULL DEFAULT '{}',
    egress_grant             jsonb NOT NULL DEFAULT '{}',
    revision                 bigint NOT NULL DEFAULT 1,
    last_failure             jsonb,
    created_at               timestamptz NOT NULL DEFAULT now(),
    updated_at               timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, integration_id),
    UNIQUE (tenant, provider)
);
CREATE INDEX rmm_integrations_active ON rmm_integrations (tenant, is_active);
SELECT patchbay_isolate('rmm_integrations');

-- The settings of a connection, encrypted. What the columns mean stands in docs/decisions/0008-secrets.md.
CREATE TABLE connection_credentials (
    tenant         uuid NOT NULL,
    integration_id uuid NOT NULL,
    key_id         text NOT NULL,
    key_nonce      bytea NOT NULL,
    wrapped_key    bytea NOT NULL,
    nonce          bytea NOT NULL,
    ciphertext     bytea NOT NULL,
    PRIMARY KEY (tenant, integration_id),
    FOREIGN KEY (tenant, integration_id) REFERENCES rmm_integrations ON DELETE CASCADE
);
SELECT patchbay_isolate('connection_credentials');

-- The server's own secrets, such as the key of fingerprints. Only the system scope sees them.
CREATE TABLE system_secrets (
    name        text PRIMARY KEY,
    key_id      text NOT NULL,
    key_nonce   bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    nonce       bytea NOT NULL,
    ciphertext  bytea NOT NULL
);
ALTER TABLE system_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY patchbay_system ON system_secrets
    USING ((SELECT current_setting('patchbay.tenant', true)) = '*')
    WITH CHECK ((SELECT current_setting('patchbay.tenant', true)) = '*');
GRANT SELECT, INSERT, UPDATE ON system_secrets TO patchbay_app;

CREATE FUNCTION patchbay_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER patchbay_touch BEFORE UPDATE ON rmm_integrations
    FOR EACH ROW EXECUTE FUNCTION patchbay_touch();

-- Replicas keep availability and vendor clients in memory; they drop a tenant's when they are told of a change.
CREATE FUNCTION patchbay_notify_availability() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('patchbay_availability', coalesce(NEW.tenant, OLD.tenant)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER patchbay_notify AFTER INSERT OR UPDATE OR DELETE ON rmm_integrations
    FOR EACH ROW EXECUTE FUNCTION patchbay_notify_availability();
