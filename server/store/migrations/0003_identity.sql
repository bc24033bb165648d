-- API keys. They belong to the server as a whole: only its system scope sees them, no tenant's.

CREATE TABLE api_keys (
    key_id      text PRIMARY KEY CHECK (key_id ~ '^[a-z2-7]{12}$'),
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    label       text NOT NULL,
    tenants     uuid[] CHECK (cardinality(tenants) > 0),
    permissions text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);
COMMENT ON COLUMN api_keys.tenants IS 'NULL: every tenant';

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY patchbay_system ON api_keys
    USING ((SELECT current_setting('patchbay.tenant', true)) = '*')
    WITH CHECK ((SELECT current_setting('patchbay.tenant', true)) = '*');
GRANT SELECT, INSERT, UPDATE ON api_keys TO patchbay_app;

-- Replicas keep verified keys in memory; they drop a key when they are told that it changed.
CREATE FUNCTION patchbay_notify_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('patchbay_api_keys', coalesce(NEW.key_id, OLD.key_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER patchbay_notify AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION patchbay_notify_api_key();
