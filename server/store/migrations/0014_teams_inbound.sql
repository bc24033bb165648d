-- What comes to a Teams bot is vouched for by a token that does not cover the body: an activity counts once, and what it
-- says of people and teams is used only after Teams itself confirmed it. See docs/decisions/0014-teams.md.

-- Reset where Teams tells something else of the conversation.
ALTER TABLE teams_conversation_references ADD COLUMN confirmed boolean NOT NULL DEFAULT false;

-- Activities of the last day; no part of them but what tells one from another.
CREATE TABLE teams_bot_activities (
    tenant     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    bot_app_id text NOT NULL,
    name       bytea NOT NULL,  -- SHA-256 of its kind, conversation and id
    content    bytea NOT NULL,  -- SHA-256 of all of it
    taken_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, bot_app_id, name)
);
CREATE INDEX teams_bot_activities_by_time ON teams_bot_activities (taken_at);
SELECT patchbay_isolate('teams_bot_activities');
