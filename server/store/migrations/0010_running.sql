-- What runs is found by `completed_at IS NULL`, which only upkeep says. The condition was `status = 'RUNNING'`: the
-- planner then preferred this index to the primary key for every completion and send mark, and read all that the
-- owner runs, and what it ran since the last vacuum, to find one row.

ALTER TABLE workflow_action_invocations
    ADD CONSTRAINT invocations_running_is_open CHECK ((status = 'RUNNING') = (completed_at IS NULL));
CREATE INDEX invocations_open ON workflow_action_invocations (lease_owner) WHERE completed_at IS NULL;
DROP INDEX invocations_running;
