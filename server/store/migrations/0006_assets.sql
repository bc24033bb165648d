-- The local inventory: what RMM tools have told about devices.

CREATE TABLE assets (
    tenant              uuid NOT NULL,
    asset_id            uuid NOT NULL DEFAULT gen_random_uuid(),
    name                text,
    rmm_provider        varchar(50) NOT NULL,
    rmm_device_id       text NOT NULL,
    rmm_organization_id text,
    agent_status        text,
    last_seen_at        timestamptz,
    last_rmm_sync_at    timestamptz NOT NULL DEFAULT now(),  -- when a fact last changed; unchanged rows are not written
    rmm_attributes      jsonb NOT NULL DEFAULT '{}',         -- organization_name, site_name, platform, os_name
    gone_at             timestamptz,                         -- when the provider no longer had the device
    created_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, asset_id),
    UNIQUE (tenant, rmm_provider, rmm_device_id)
);
SELECT patchbay_isolate('assets');

-- When a provider last told about all of its devices.
CREATE TABLE asset_fills (
    tenant       uuid NOT NULL,
    rmm_provider varchar(50) NOT NULL,
    filled_at    timestamptz NOT NULL,
    devices      integer NOT NULL,
    PRIMARY KEY (tenant, rmm_provider)
);
SELECT patchbay_isolate('asset_fills');
