"""The defects by id: what went wrong elsewhere. A1-A16 concern the engine, R1-R17 reliability, S1-S12 security.

A test carries the ids that it proves at the beginning of its name: `test_a1_r1_...`. The other ids are in one of the
two tables at the end.
"""

DEFECTS = {
    "A1": "A key is spent by a failure: only success is replayed, everything else can never run again.",
    "A2": "A crash after the vendor was called leaves the execution as started for ever.",
    "A3": "When the output does not fit, or the last update fails, work that was done is recorded as failed.",
    "A4": "Another input under a known key gets the output of the first input.",
    "A5": "Generated keys hold a 32-bit hash of the input.",
    "A6": "Replaying a run makes new keys, so that every effect is repeated.",
    "A7": "Everything leans on retries that the product never exercises.",
    "A8": "A rate limiter lives in an object that each call makes anew, so it limits nothing.",
    "A9": "Requests to vendors have no time limit.",
    "A10": "A tenant's instance URL is called without a look at its address, redirects and credentials included.",
    "A11": "Secrets of a step are stored in plain text with the input and masked only when shown.",
    "A12": "Each handler checks rights by itself, and most do not.",
    "A13": "The caller's input decides to which host a credential goes.",
    "A14": "New actions were shipped without any check of rights.",
    "A15": "Availability is yes or no: no reason, no remedy, no push, and a broken check looks like `not connected`.",
    "A16": "Each module brings its own HTTP client, because packages cannot share one.",
    "R1": "A failed action can never be retried under its key, and its first error is hidden.",
    "R2": "There is no lease and no unknown outcome: after a crash or a time-out a row stays as started.",
    "R3": "Looking first and inserting then is a race, whose loser neither waits nor replays.",
    "R4": "Reads are replayed, so a loop that polls sees its first answer for ever.",
    "R5": "Two passes of a loop with equal input count as one call; a short hash merges different inputs.",
    "R6": "Keys given by an action are ignored; a key given by an author is dead once one attempt has failed.",
    "R7": "Code and category of an error are lost on the way; a vendor's 429 and 5xx do not count as passing.",
    "R8": "Checking the output after the effect turns done work into a failure.",
    "R9": "No time limits, no cancelling, no rate limit that workers share.",
    "R10": "Failures that a vendor writes into a 200 answer are reported as success.",
    "R11": "The detail route is called with the wrong identifier; live lists lack status and client.",
    "R12": "Live searches ignore a filter and the limit.",
    "R13": "A repeated device sync syncs again.",
    "R14": "Workers race for a rotating refresh token.",
    "R15": "Calendar entries miss events, or tell of them before the commit.",
    "R16": "Calendar conflicts are found without a lock and without recurring entries.",
    "R17": "Alert triggers cannot be published; resolving locally swallows the event.",
    "S1": "Plain secrets in stored inputs; exports are not masked.",
    "S2": "Uneven rights: a raw command is guarded, a script or a reboot is not.",
    "S3": "Whoever published the workflow counts as the actor, even after leaving the company.",
    "S4": "Actions of modules leave no audit row.",
    "S5": "Plain http and private addresses in a tenant's settings get the credentials.",
    "S6": "Capability URLs of webhooks are returned and stored as ordinary output.",
    "S7": "Vendor bodies are copied uncut and unmasked into error messages.",
    "S8": "Every host below a public cloud's shared domain is trusted with a bot's token.",
    "S9": "Links of any scheme are sent as they are.",
    "S10": "Webhook secrets are compared with `==`; webhooks of inactive integrations count.",
    "S11": "Credentials lie in a plain file; the database does not separate tenants.",
    "S12": "An account is identified by its e-mail address instead of its object id.",
}

COVERED_ELSEWHERE = {
    "A7": "tests/execution/test_campaign.py::test_killed_at",
    "R13": "tests/modules/ninjaone/test_through_grpc.py::test_r13_a_repeated_sync_does_not_ask_again",
    "R14": "tests/oauth/test_processes.py::test_four_processes_renew_once",
    "R15": "tests/scheduling/test_create.py::test_rule_16_effect_record_audit_and_event_are_one_transaction",
    "R16": "tests/scheduling/test_create.py::test_32_callers_for_one_technician_one_wins",
    "S6": "tests/modules/levelio/test_through_grpc.py::test_tokens_lie_nowhere",
    "S8": "tests/modules/teams/test_addresses.py::test_every_other_address_is_refused",
    "S9": "tests/modules/teams/test_through_grpc.py::test_bad_input_is_named",
    "S12": "tests/modules/teams/test_people.py::test_a_linked_user_is_reached_by_our_id",
}

NOT_YET = {
    "R17": "There is no alert loop yet.",
    "S10": "No webhook is received yet: they belong to the alert loop.",
}
