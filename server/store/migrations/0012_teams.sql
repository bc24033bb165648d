-- Microsoft Teams: whether it is installed for a tenant, what a tenant has subscribed to, whose account is whose.
-- See docs/decisions/0014-teams.md.

CREATE TABLE teams_integrations (
    tenant         uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    install_status text NOT NULL DEFAULT 'not_configured'
        CHECK (install_status IN ('not_configured', 'install_pending', 'active', 'error')),
    last_error     text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
SELECT patchbay_isolate('teams_integrations');

-- Active: a row that has not expired by the database's clock.
CREATE TABLE tenant_addons (
    tenant       uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    addon_key    text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    metadata     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant, addon_key)
);
SELECT patchbay_isolate('tenant_addons');

-- provider_account_id is the vendor's unchanging id of the person, such as the Entra object id; never an address.
CREATE TABLE user_auth_accounts (
    tenant              uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id             text NOT NULL,
    provider            text NOT NULL,
    provider_account_id text NOT NULL,
    provider_email      text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    linked_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, user_id, provider)
);
CREATE INDEX user_auth_accounts_by_account ON user_auth_accounts (tenant, provider, provider_account_id);
SELECT patchbay_isolate('user_auth_accounts');

CREATE TRIGGER patchbay_touch BEFORE UPDATE ON teams_integrations
    FOR EACH ROW EXECUTE FUNCTION patchbay_touch();
CREATE TRIGGER patchbay_notify AFTER INSERT OR UPDATE OR DELETE ON teams_integrations
    FOR EACH ROW EXECUTE FUNCTION patchbay_notify_availability();
CREATE TRIGGER patchbay_notify AFTER INSERT OR UPDATE OR DELETE ON tenant_addons
    FOR EACH ROW EXECUTE FUNCTION patchbay_notify_availability();

-- Where no other system keeps these rows, connecting does: within its transaction Teams becomes installed, and a tenant
-- without a row for the add-on gets one that does not expire. A row that exists stays as it is.
CREATE FUNCTION patchbay_install_teams() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO teams_integrations (tenant, install_status)
    VALUES (NEW.tenant, CASE WHEN NEW.is_active THEN 'active' ELSE 'not_configured' END)
    ON CONFLICT (tenant) DO UPDATE SET install_status = excluded.install_status, last_error = NULL;
    IF NEW.is_active THEN
        INSERT INTO tenant_addons (tenant, addon_key) VALUES (NEW.tenant, 'teams') ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER patchbay_installed AFTER INSERT OR UPDATE OF is_active ON rmm_integrations
    FOR EACH ROW WHEN (NEW.provider = 'teams') EXECUTE FUNCTION patchbay_install_teams();

-- A connection may have several sets of tokens: one for each audience.
ALTER TABLE connection_tokens ADD COLUMN slot text NOT NULL DEFAULT '';
ALTER TABLE connection_tokens DROP CONSTRAINT connection_tokens_pkey;
ALTER TABLE connection_tokens ADD PRIMARY KEY (tenant, integration_id, slot);
