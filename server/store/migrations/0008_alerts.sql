-- The book of alerts: what RMM tools have told.

CREATE TABLE rmm_alerts (
    tenant             uuid NOT NULL,
    alert_id           uuid NOT NULL DEFAULT gen_random_uuid(),
    integration_id     uuid NOT NULL,
    external_alert_id  text NOT NULL,
    external_device_id text,
    asset_id           uuid,
    status             text NOT NULL CHECK (status IN ('active', 'acknowledged', 'resolved')),
    severity           text,
    priority           text,
    source_type        text,
    title              text,
    message            text,
    triggered_at       timestamptz,
    vendor_updated_at  timestamptz,
    resolved_at        timestamptz,
    metadata           jsonb NOT NULL DEFAULT '{}',  -- what only this provider tells
    PRIMARY KEY (tenant, alert_id),
    UNIQUE (tenant, integration_id, external_alert_id)
);
CREATE INDEX rmm_alerts_active ON rmm_alerts (tenant, integration_id, triggered_at DESC) WHERE status = 'active';
SELECT patchbay_isolate('rmm_alerts');

-- When a connection's vendor last told all of its active alerts.
CREATE TABLE rmm_alert_fills (
    tenant         uuid NOT NULL,
    integration_id uuid NOT NULL,
    filled_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, integration_id)
);
SELECT patchbay_isolate('rmm_alert_fills');
