-- Where the bot of a tenant's Teams connection can talk, as Teams has told it.

-- Teams tells of one conversation in several events, in any order and some without the person's Entra object id; the
-- key is therefore the conversation. Rows of channels and group chats belong to no person.
CREATE TABLE teams_conversation_references (
    tenant            uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    conversation_id   text NOT NULL,
    bot_app_id        text NOT NULL,
    conversation_type text NOT NULL CHECK (conversation_type IN ('personal', 'groupChat', 'channel')),
    service_url       text NOT NULL,
    tenant_id_aad     text NOT NULL,
    microsoft_user_id text,  -- Entra object id
    user_channel_id   text,  -- the person's id at the bot, 29:...
    team_id           text,
    team_name         text,
    last_activity_at  timestamptz NOT NULL DEFAULT now(),
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, bot_app_id, conversation_id)
);
CREATE INDEX teams_conversation_references_by_user
    ON teams_conversation_references (tenant, bot_app_id, microsoft_user_id, last_activity_at DESC);
CREATE INDEX teams_conversation_references_by_team ON teams_conversation_references (tenant, bot_app_id, team_id);
SELECT patchbay_isolate('teams_conversation_references');

-- What comes to a bot names its app: this leads to the connections that it serves.
CREATE INDEX rmm_integrations_by_bot ON rmm_integrations (lower(settings ->> 'bot_app_id')) WHERE provider = 'teams';
