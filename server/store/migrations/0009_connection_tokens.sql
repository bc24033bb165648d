-- The tokens that OAuth gave to a connection, encrypted like its settings. See docs/decisions/0012-oauth.md.

-- A row belongs to one revision of its connection; generation counts the tokens stored since. lifetime is the whole life
-- of the access token in seconds. refreshing_since: a renewal began then, and nobody has recorded how it ended.
CREATE TABLE connection_tokens (
    tenant           uuid NOT NULL,
    integration_id   uuid NOT NULL,
    revision         bigint NOT NULL,
    generation       bigint NOT NULL,
    lifetime         double precision NOT NULL,
    expires_at       timestamptz NOT NULL,
    refreshing_since timestamptz,
    key_id           text NOT NULL,
    key_nonce        bytea NOT NULL,
    wrapped_key      bytea NOT NULL,
    nonce            bytea NOT NULL,
    ciphertext       bytea NOT NULL,
    PRIMARY KEY (tenant, integration_id),
    FOREIGN KEY (tenant, integration_id) REFERENCES rmm_integrations ON DELETE CASCADE
);
SELECT patchbay_isolate('connection_tokens');
