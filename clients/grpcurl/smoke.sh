#!/usr/bin/env bash
# Calls a running server with grpcurl, without proto files, and checks what comes back.
#
#   GRPCURL                 the binary; default: grpcurl on the PATH
#   PATCHBAY_TARGET         host and port of the server; default 127.0.0.1:7700
#   PATCHBAY_TENANT         a tenant connected to a (simulated) Tactical RMM; default demo
#   PATCHBAY_API_KEY_FILE   file with an API key, or PATCHBAY_API_KEY with the key itself; neither: none is sent
#   SMOKE_SCRIPT            name of a script that is harmless to run; default Simulate
#
# The key goes to grpcurl by its environment (-expand-headers), so it stands in no argument.
# Exits with 1 at the first deviation.
set -euo pipefail

grpcurl="${GRPCURL:-grpcurl}"
target="${PATCHBAY_TARGET:-127.0.0.1:7700}"
tenant="${PATCHBAY_TENANT:-demo}"
script_name="${SMOKE_SCRIPT:-Simulate}"
python="${PYTHON:-python3}"
module=patchbay.modules.tacticalrmm.v1.TacticalRmm
options=(-plaintext -max-time 60)

if [[ -n "${PATCHBAY_API_KEY_FILE:-}" ]]; then
  PATCHBAY_API_KEY="$(tr -d '[:space:]' <"$PATCHBAY_API_KEY_FILE")"
fi
if [[ -n "${PATCHBAY_API_KEY:-}" ]]; then
  export PATCHBAY_API_KEY
  # The variable is expanded by grpcurl, not here.
  # shellcheck disable=SC2016
  options+=(-expand-headers -H 'authorization: Bearer ${PATCHBAY_API_KEY}')
fi

answer=""
steps=0

step() {
  steps=$((steps + 1))
  printf '%2d. %s\n' "$steps" "$1"
}

deviates() {
  printf 'deviation: %s\nanswer:\n%s\n' "$1" "$answer" >&2
  exit 1
}

# call METHOD BODY [OPTION...]: a call that has to succeed; its answer is in $answer.
call() {
  local method="$1" body="$2"
  shift 2
  answer="$("$grpcurl" "${options[@]}" "$@" -d "$body" "$target" "$method" 2>&1)" || deviates "$method failed"
}

# refused STATUS METHOD BODY [OPTION...]: a call that has to end with this gRPC status number.
refused() {
  local status="$1" method="$2" body="$3" code=0
  shift 3
  answer="$("$grpcurl" "${options[@]}" -format-error "$@" -d "$body" "$target" "$method" 2>&1)" || code=$?
  [[ "$code" -eq $((64 + status)) ]] || deviates "$method ended with $code, not with status $status"
}

# reflect WORD...: asks the reflection service.
reflect() {
  answer="$("$grpcurl" "${options[@]}" "$target" "$@" 2>&1)" || deviates "reflection failed: $*"
}

has() {
  grep -qF -- "$1" <<<"$answer" || deviates "the answer lacks: $1"
}

# evaluate EXPRESSION: the value of a Python expression over the answer, called `a`. grpcurl writes field names as the
# server's descriptors have them, in snake_case or camelCase; here they are always snake_case.
evaluate() {
  "$python" -c '
import json, re, sys

def named(pairs):
    return {re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name): value for name, value in pairs}

a = json.load(sys.stdin, object_pairs_hook=named)
print(eval(sys.argv[1]))
' "$1" <<<"$answer"
}

# holds EXPRESSION: the expression has to be true.
holds() {
  [[ "$(evaluate "bool($1)")" == True ]] || deviates "not so: $1"
}

# pick EXPRESSION: prints the expression's value.
pick() {
  evaluate "$1" || deviates "cannot be read: $1"
}

# request ACTION INPUT KEY: prints the body of an ExecuteAction call.
request() {
  printf '{"tenant": "%s", "action": "%s", "input": {"json": %s}, "idempotency_key": "%s"}' "$tenant" "$@"
}

step "reflection lists every service"
reflect list
for service in Catalog ActionExecutor Connections Identity; do
  has "patchbay.v1.$service"
done
has "$module"
has "grpc.health.v1.Health"

step "reflection describes a service, a method and a message"
reflect describe patchbay.v1.ActionExecutor
has "rpc ExecuteAction"
reflect describe patchbay.v1.ActionExecutor.ExecuteAction
has "patchbay.v1.ExecuteActionRequest"
reflect describe patchbay.v1.ExecuteActionRequest
has "string idempotency_key = 5"
reflect describe "$module.RunScript"
has "RunScriptRequest"

step "health: the server and the module serve"
call grpc.health.v1.Health/Check '{}'
holds 'a["status"] == "SERVING"'
call grpc.health.v1.Health/Check "{\"service\": \"$module\"}"
holds 'a["status"] == "SERVING"'

step "the catalog offers Tactical RMM to the tenant"
call patchbay.v1.Catalog/GetCatalog "{\"tenant\": \"$tenant\"}"
holds '[g["availability"]["state"] for g in a["groups"] if g["group_key"] == "app:tacticalrmm"] == ["AVAILABILITY_STATE_AVAILABLE"]'
etag="$(pick 'a["etag"]')"
call patchbay.v1.Catalog/GetCatalog "{\"tenant\": \"$tenant\", \"etag\": \"$etag\"}"
holds 'a["not_modified"] is True and not a.get("groups")'

step "an action has both schemas"
call patchbay.v1.Catalog/GetAction "{\"tenant\": \"$tenant\", \"action\": \"tacticalrmm.agents.run_script\"}"
holds 'a["action"]["summary"]["effect"] == "EFFECT_CLASS_NON_IDEMPOTENT"'
holds '"agent_id" in json.loads(a["action"]["input"]["inlined_json"])["properties"]'
holds '"exit_code" in json.loads(a["action"]["output"]["inlined_json"])["properties"]'

step "a reading action needs no key"
call patchbay.v1.ActionExecutor/ExecuteAction "$(request tacticalrmm.agents.find '{}' '')"
holds 'a["execution"]["state"] == "EXECUTION_STATE_SUCCEEDED"'
agent="$(pick '[g["agent_id"] for g in a["execution"]["output"]["json"]["agents"] if g.get("agent_online")][0]')"
call patchbay.v1.ActionExecutor/ExecuteAction "$(request tacticalrmm.scripts.list '{}' '')"
script="$(pick "[s[\"id\"] for s in a[\"execution\"][\"output\"][\"json\"][\"scripts\"] if s[\"name\"] == \"$script_name\"][0]")"

step "a writing action runs once"
key="smoke-$("$python" -c 'import uuid; print(uuid.uuid4())')"
run="$(request tacticalrmm.agents.run_script "{\"agent_id\": \"$agent\", \"script_id\": \"$script\"}" "$key")"
call patchbay.v1.ActionExecutor/ExecuteAction "$run"
holds 'a["execution"]["state"] == "EXECUTION_STATE_SUCCEEDED" and not a["execution"].get("replayed")'
holds 'a["execution"]["output"]["json"]["exit_code"] == 0'
first="$(pick 'a["execution"]["id"]')"

step "the same key is answered from the record"
call patchbay.v1.ActionExecutor/ExecuteAction "$run"
holds "a['execution']['id'] == '$first' and a['execution']['replayed'] is True"
call patchbay.v1.ActionExecutor/GetExecution "{\"tenant\": \"$tenant\", \"idempotency_key\": \"$key\"}"
holds "a['execution']['id'] == '$first'"

step "the module's own rpc, the envelope in metadata"
direct=(-H "x-patchbay-tenant: $tenant" -H "idempotency-key: $key-direct")
call "$module/RunScript" "{\"agent_id\": \"$agent\", \"script_id\": \"$script\"}" "${direct[@]}"
holds 'a["run_requested"] is True and a["agent_id"] and a.get("exit_code", 0) == 0'

step "a key used for another input is refused, and says why"
other="$(request tacticalrmm.agents.run_script "{\"agent_id\": \"$agent\", \"script_id\": \"$script\", \"args\": [\"x\"]}" "$key")"
refused 6 patchbay.v1.ActionExecutor/ExecuteAction "$other"
has '"reason": "IDEMPOTENCY_KEY_REUSED"'
has '"domain": "patchbay"'

step "a wrong field is refused by name"
refused 3 patchbay.v1.ActionExecutor/ExecuteAction "$(request tacticalrmm.agents.find '{"limt": 1}' '')"
has '"reason": "INPUT_INVALID"'
has 'limt'

step "an unknown action is not found"
refused 5 patchbay.v1.Catalog/GetAction "{\"tenant\": \"$tenant\", \"action\": \"no.such.action\"}"
has '"reason": "ACTION_UNKNOWN"'

if [[ -n "${PATCHBAY_API_KEY:-}" ]]; then
  step "without a key nobody gets in"
  options=(-plaintext -max-time 60)
  refused 16 patchbay.v1.Catalog/GetCatalog "{\"tenant\": \"$tenant\"}"
  has '"reason": "CREDENTIALS_MISSING"'
fi

printf 'all %d steps are as they have to be\n' "$steps"
