-- Roles, tenant isolation, tenants.

-- Every statement of the server runs as this role. It owns nothing, so it can neither switch row-level security off
-- nor be exempt from it. Roles belong to the whole cluster: another database may have created it already.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_app') THEN
        CREATE ROLE patchbay_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'patchbay_app', 'SET') THEN
        EXECUTE format('GRANT patchbay_app TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO patchbay_app', current_schema());
END
$$;

-- Lets the server work on a table, with the rows of one tenant at a time. The session setting patchbay.tenant names
-- it; '*' is every tenant; unset or anything else shows nothing. Compared as text: a strange setting must hide rows,
-- not raise a cast error. The sub-select makes PostgreSQL read the setting once per statement, not once per row.
CREATE FUNCTION patchbay_isolate(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY patchbay_tenant ON %s '
        'USING ((SELECT current_setting(''patchbay.tenant'', true)) IN (''*'', tenant::text)) '
        'WITH CHECK ((SELECT current_setting(''patchbay.tenant'', true)) IN (''*'', tenant::text))',
        target
    );
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO patchbay_app', target);
END
$$;
REVOKE ALL ON FUNCTION patchbay_isolate(regclass) FROM PUBLIC;

CREATE TABLE tenants (
    tenant     uuid PRIMARY KEY,
    slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A tenant is named by id or by slug; no slug may look like an id.
    CHECK (slug !~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$')
);
SELECT patchbay_isolate('tenants');
